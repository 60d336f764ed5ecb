/** versitygw, S3 over a folder: keys are paths there, so it is strict where MinIO and AWS are not. */
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { S3Server } from './minio.ts'
import { answersWith, freePort, startServerProcess } from './server-process.ts'
import { findGoTool } from './tool.ts'
import type { Found } from './tool.ts'

const tool = { name: 'versitygw', folder: 'versitygw-1.8.0', module: 'github.com/versity/versitygw/cmd/versitygw@v1.8.0' }

export function findVersitygw(): Promise<Found> {
  return findGoTool(tool)
}

export async function startVersitygw(path: string): Promise<S3Server> {
  const folder = await mkdtemp(join(tmpdir(), 'cloudmoor-versitygw-'))
  const data = join(folder, 'data')
  await mkdir(data)
  const accessKeyId = `test${randomBytes(6).toString('hex')}`
  const secretAccessKey = randomBytes(20).toString('hex')
  const port = await freePort()
  const endpoint = `http://127.0.0.1:${port}`
  const server = await startServerProcess({
    name: 'versitygw',
    path,
    args: ['--port', `127.0.0.1:${port}`, '--quiet', 'posix', data],
    env: { HOME: folder, ROOT_ACCESS_KEY: accessKeyId, ROOT_SECRET_KEY: secretAccessKey },
    isReady: () => answersWith(`${endpoint}/`, 403),
  })
  const stop = async () => {
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  }
  return { endpoint, accessKeyId, secretAccessKey, pid: server.pid, stop }
}
