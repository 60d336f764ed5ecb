/** What the WebDAV servers share: a temporary folder, a process in it, and its end. */
import { chmod, chown, mkdir, mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { answersWith, startServerProcess } from './server-process.ts'

export interface DavProcess {
  readonly name: string
  readonly path: string
  readonly args: (folder: string) => readonly string[]
  /** Folder of its own libraries. */
  readonly libraries: string
  /** Address that asks for a password when the server is up. */
  readonly ready: string
  /** Writes what the server reads. */
  readonly prepare: (folder: string) => Promise<void>
}

/** A WebDAV server as any client sees it. */
export interface DavServer {
  readonly username: string
  readonly password: string
  /** `http://127.0.0.1:PORT/dav`, with Basic. */
  readonly basic: string
  /** What the server serves, on disk. */
  readonly data: string
  readonly stop: () => Promise<void>
}

/** Servers that root starts work as this user (nobody). */
const nobody = 65534

export async function startDavProcess({ name, path, args, libraries, ready, prepare }: DavProcess): Promise<{
  readonly folder: string
  readonly data: string
  readonly stop: () => Promise<void>
}> {
  const folder = await mkdtemp(join(tmpdir(), `cloudmoor-${name}-`))
  const data = join(folder, 'data')
  await mkdir(data)
  await prepare(folder)
  if (process.getuid?.() === 0) {
    await chmod(folder, 0o755)
    for (const file of await readdir(folder)) await chown(join(folder, file), nobody, nobody)
  }
  const clean = () => rm(folder, { recursive: true, force: true })
  try {
    const env = { HOME: folder, LD_LIBRARY_PATH: libraries, LANG: 'C.UTF-8' }
    const isReady = () => answersWith(ready, 401)
    const server = await startServerProcess({ name, path, args: args(folder), env, cwd: folder, isReady })
    const stop = async () => {
      await server.stop()
      await clean()
    }
    return { folder, data, stop }
  } catch (error) {
    const said = await readFile(join(folder, 'error.log'), 'utf8').catch(() => '')
    await clean()
    throw new Error(`${name}: ${said.slice(-2000)}`, { cause: error })
  }
}
