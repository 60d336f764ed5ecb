/** A MinIO server of its own for a test file: free port, random keys, data in a temporary folder. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { answersWith, freePort, startServerProcess } from './server-process.ts'
import { findGoTool } from './tool.ts'
import type { Found } from './tool.ts'

const tool = { name: 'minio', folder: 'minio-20260212', module: 'github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c' }

/** Any server that speaks S3. */
export interface S3Server {
  /** `http://127.0.0.1:PORT` */
  readonly endpoint: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly pid: number
  stop(): Promise<void>
}

/** Look this up first: a test that finds it missing is skipped with the reason. */
export function findMinio(): Promise<Found> {
  return findGoTool(tool)
}

/** Starts the server and waits until it answers. */
export async function startMinio(path: string): Promise<S3Server> {
  const data = await mkdtemp(join(tmpdir(), 'cloudmoor-minio-'))
  const accessKeyId = `test${randomBytes(6).toString('hex')}`
  const secretAccessKey = randomBytes(20).toString('hex')
  const port = await freePort()
  const endpoint = `http://127.0.0.1:${port}`
  const server = await startServerProcess({
    name: 'minio',
    path,
    args: ['server', data, '--quiet', '--address', `127.0.0.1:${port}`],
    env: {
      HOME: data,
      MINIO_ROOT_USER: accessKeyId,
      MINIO_ROOT_PASSWORD: secretAccessKey,
      MINIO_BROWSER: 'off',
      MINIO_KMS_SECRET_KEY: `test:${randomBytes(32).toString('base64')}`,
    },
    // Ready is when it refuses us; the health check says so earlier, while requests still get 503.
    isReady: () => answersWith(`${endpoint}/`, 403),
  })
  const stop = async () => {
    await server.stop()
    await rm(data, { recursive: true, force: true })
  }
  return { endpoint, accessKeyId, secretAccessKey, pid: server.pid, stop }
}
