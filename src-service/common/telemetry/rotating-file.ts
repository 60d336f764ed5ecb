import { readdir, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import pino from 'pino'

/** Bytes that may wait for the disk; beyond, lines are dropped. */
const maxPending = 4 * 1024 * 1024

interface RotatingFile {
  readonly stream: ReturnType<typeof pino.destination>
  close(): Promise<void>
}

/** A file for lines, mode 0600, written without waiting; after `maxBytes` it becomes `PATH.1` (then `.2` …) and a new one begins. */
export async function openRotatingFile(path: string, maxBytes: number, keep: number): Promise<RotatingFile> {
  let size = await sizeOf(path)
  const stream = pino.destination({ dest: path, sync: false, append: true, mode: 0o600, maxLength: maxPending })
  await new Promise<void>((resolve, reject) => {
    stream.once('ready', resolve)
    stream.once('error', reject)
  })
  // Nobody can be told that a log cannot be written; the service goes on without it.
  stream.on('error', () => {})
  let rotation: Promise<void> | null = null
  stream.on('write', (written: number) => {
    size += written
    if (size < maxBytes || rotation !== null) return
    rotation = shift(path, keep).then(() => {
      rotation = null
      size = 0
      stream.reopen()
    })
  })
  const flushAtExit = () => flushNow(stream)
  process.on('exit', flushAtExit)
  return {
    stream,
    close: async () => {
      process.off('exit', flushAtExit)
      await rotation
      await new Promise((resolve) => {
        // A disk that takes nothing must not hold up the end of the program.
        const giveUp = setTimeout(() => stream.destroy(), 2000)
        stream.once('close', () => {
          clearTimeout(giveUp)
          resolve(undefined)
        })
        stream.end()
      })
    },
  }
}

function flushNow(stream: RotatingFile['stream']): void {
  try {
    stream.flushSync()
  } catch {
    // The disk refuses; the process ends anyway.
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch {
    return 0
  }
}

async function shift(path: string, keep: number): Promise<void> {
  for (let number = keep; number >= 1; number--) {
    const from = number === 1 ? path : `${path}.${number - 1}`
    await rename(from, `${path}.${number}`).catch(() => {})
  }
}

/** Removes log files in `folder` that nobody wrote to for `days` days. Never rejects. */
export async function pruneLogs(folder: string, days: number, now: number): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    if (!/\.log(\.\d+)?$/.test(name)) continue
    const path = join(folder, name)
    const found = await stat(path).catch(() => null)
    if (found !== null && now - found.mtimeMs > days * 24 * 3600 * 1000) await unlink(path).catch(() => {})
  }
}
