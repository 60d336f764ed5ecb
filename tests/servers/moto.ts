/** moto, an emulator of AWS: here for what its token service is sent. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { answersWith, freePort, startServerProcess } from './server-process.ts'
import { findPythonTool } from './tool.ts'
import type { Found } from './tool.ts'

export interface MotoServer {
  readonly endpoint: string
  /** Bodies of the requests that it has received, decoded, since the last call. */
  readonly requests: () => Promise<readonly URLSearchParams[]>
  readonly stop: () => Promise<void>
}

export function findMoto(): Promise<Found> {
  return findPythonTool({ name: 'moto_server', folder: 'moto-5.2.5', packages: ['moto[server,s3]==5.2.5'] })
}

export async function startMoto(path: string): Promise<MotoServer> {
  const port = await freePort()
  const endpoint = `http://127.0.0.1:${port}`
  // Its recording is a file, by default where the tests were started.
  const folder = await mkdtemp(join(tmpdir(), 'cm-moto-'))
  const server = await startServerProcess({
    name: 'moto',
    path,
    cwd: folder,
    args: ['--host', '127.0.0.1', '--port', String(port)],
    isReady: () => answersWith(`${endpoint}/moto-api/`, 200),
  })
  const recorder = (verb: string, method = 'POST') => fetch(`${endpoint}/moto-api/recorder/${verb}`, { method })
  await recorder('start-recording')
  return {
    endpoint,
    stop: async () => {
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
    requests: async () => {
      const recorded = await (await recorder('download-recording', 'GET')).text()
      await recorder('reset-recording')
      return recorded
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => new URLSearchParams(bodyOf(JSON.parse(line) as Recorded)))
    },
  }
}

interface Recorded {
  readonly body: string | null
  readonly body_encoded: boolean
}

function bodyOf({ body, body_encoded: encoded }: Recorded): string {
  return encoded ? Buffer.from(body ?? '', 'base64').toString() : (body ?? '')
}
