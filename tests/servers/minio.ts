/** A MinIO server of its own for a test file: free port, random keys, data in a temporary folder. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findGoTool } from './tool.ts'
import type { Found } from './tool.ts'

const tool = { name: 'minio', folder: 'minio-20260212', module: 'github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c' }

export interface MinioServer {
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
export async function startMinio(path: string): Promise<MinioServer> {
  const data = await mkdtemp(join(tmpdir(), 'cloudmoor-minio-'))
  const accessKeyId = `test${randomBytes(6).toString('hex')}`
  const secretAccessKey = randomBytes(20).toString('hex')
  const port = await freePort()
  const child = spawn(path, ['server', data, '--quiet', '--address', `127.0.0.1:${port}`], {
    env: {
      PATH: process.env['PATH'],
      HOME: data,
      MINIO_ROOT_USER: accessKeyId,
      MINIO_ROOT_PASSWORD: secretAccessKey,
      MINIO_BROWSER: 'off',
    },
    stdio: 'ignore',
  })
  const stop = async () => {
    await end(child)
    await rm(data, { recursive: true, force: true })
  }
  try {
    await waitUntilReady(child, `http://127.0.0.1:${port}/`)
  } catch (error) {
    await stop()
    throw error
  }
  return { endpoint: `http://127.0.0.1:${port}`, accessKeyId, secretAccessKey, pid: child.pid ?? 0, stop }
}

async function waitUntilReady(child: ChildProcess, url: string): Promise<void> {
  const end = Date.now() + 30_000
  while (Date.now() < end) {
    if (child.exitCode !== null) throw new Error(`minio ended with ${child.exitCode}`)
    // Ready is when it refuses us; the health check says so earlier, while requests still get 503.
    const answer = await fetch(url).catch(() => null)
    await answer?.body?.cancel()
    if (answer?.status === 403) return
    await sleep(50)
  }
  throw new Error('minio was not ready within 30 s')
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
