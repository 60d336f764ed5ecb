import { open, readdir, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'

/** One line of a log file, see common/telemetry/log.ts. */
export interface LogLine {
  /** Milliseconds since 1970. */
  readonly time: number
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly program: string
  readonly pid: number
  readonly mountId: string
  readonly correlationId: string
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** The most that is read of one file at a time, bytes. */
const chunkBytes = 1024 * 1024
/** The most that is read backwards of one file, bytes. */
const tailBytes = 4 * chunkBytes
const maxFiles = 200

/** Follows every log file of a folder, also those that come, and through their rotation. Lines come in the order of each file. */
export interface LogReader {
  /** The last `count` lines that `wanted` accepts, over all files, oldest first. */
  last(count: number, wanted: (line: LogLine) => boolean): Promise<LogLine[]>
  /** Lines written since the last call (or since `last`), oldest first; at most about 1 MiB of each file, the rest comes next time. */
  next(): Promise<LogLine[]>
  close(): Promise<void>
}

interface Followed {
  readonly handle: FileHandle
  readonly inode: number
  /** Where the next line begins. */
  position: number
}

export function openLogReader(folder: string): LogReader {
  const files = new Map<string, Followed>()

  async function follow(path: string, atEnd: boolean): Promise<Followed | null> {
    const handle = await open(path, 'r').catch(() => null)
    if (handle === null) return null
    const { ino, size } = await handle.stat()
    const file = { handle, inode: ino, position: atEnd ? size : 0 }
    files.set(path, file)
    return file
  }

  async function readOn(path: string, file: Followed): Promise<LogLine[]> {
    const lines = await readForward(file)
    if (lines.length > 0) return lines
    const now = await stat(path).catch(() => null)
    if (now?.ino === file.inode) return []
    // Rotated away and read to its end.
    files.delete(path)
    await file.handle.close()
    return []
  }

  return {
    last: async (count, wanted) => {
      const lines: LogLine[][] = []
      for (const path of await logFiles(folder)) {
        const file = files.get(path) ?? (await follow(path, true))
        if (file === null) continue
        const found = (await readTail(file)).filter(wanted)
        const older = found.length < count ? (await readRotated(`${path}.1`)).filter(wanted) : []
        lines.push([...older, ...found].slice(-count))
      }
      return inOrder(lines).slice(-count)
    },
    next: async () => {
      const lines: LogLine[][] = []
      for (const path of await logFiles(folder)) if (!files.has(path)) await follow(path, false)
      for (const [path, file] of [...files]) lines.push(await readOn(path, file))
      return inOrder(lines)
    },
    close: async () => {
      for (const file of files.values()) await file.handle.close()
      files.clear()
    },
  }
}

/** Lines of several files by their times; those of one file stay in their order, also where the clock was set back between them. */
function inOrder(files: readonly (readonly LogLine[])[]): LogLine[] {
  const placed = files.flatMap((lines) => {
    let at = 0
    return lines.map((line) => ({ line, at: (at = Math.max(at, line.time)) }))
  })
  return placed.sort((left, right) => left.at - right.at).map(({ line }) => line)
}

async function logFiles(folder: string): Promise<string[]> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.log'))
  return names
    .sort()
    .slice(0, maxFiles)
    .map((name) => join(folder, name))
}

async function readForward(file: Followed): Promise<LogLine[]> {
  const buffer = Buffer.allocUnsafe(chunkBytes)
  const { bytesRead } = await file.handle.read(buffer, 0, chunkBytes, file.position)
  // Whole lines only, so that no character is cut; a line longer than the chunk is passed over.
  const end = buffer.subarray(0, bytesRead).lastIndexOf(0x0a) + 1
  if (end === 0 && bytesRead < chunkBytes) return []
  file.position += end === 0 ? bytesRead : end
  return parseLines(buffer.toString('utf8', 0, end))
}

/** What stands before the position, as far as it is looked at; puts the position behind its last whole line. */
async function readTail(file: Followed): Promise<LogLine[]> {
  const start = Math.max(0, file.position - tailBytes)
  const buffer = Buffer.allocUnsafe(file.position - start)
  const { bytesRead } = await file.handle.read(buffer, 0, buffer.length, start)
  const end = buffer.subarray(0, bytesRead).lastIndexOf(0x0a) + 1
  file.position = start + end
  return parseLines(buffer.toString('utf8', 0, end))
}

async function readRotated(path: string): Promise<LogLine[]> {
  const handle = await open(path, 'r').catch(() => null)
  if (handle === null) return []
  try {
    const { ino, size } = await handle.stat()
    return await readTail({ handle, inode: ino, position: size })
  } finally {
    await handle.close()
  }
}

function parseLines(text: string): LogLine[] {
  return text
    .split('\n')
    .map(parseLine)
    .filter((line) => line !== null)
}

/** Null for what is no line of ours: cut, or foreign. */
function parseLine(text: string): LogLine | null {
  if (!text.startsWith('{')) return null
  try {
    const { time, level, program, pid, mountId, correlationId, message, fields } = JSON.parse(text) as Record<string, unknown>
    if (typeof time !== 'string' || !isLevel(level)) return null
    return {
      time: Date.parse(time),
      level,
      program: textOf(program),
      pid: typeof pid === 'number' ? pid : 0,
      mountId: textOf(mountId),
      correlationId: textOf(correlationId),
      message: textOf(message),
      fields: typeof fields === 'object' && fields !== null ? { ...fields } : {},
    }
  } catch {
    return null
  }
}

function isLevel(level: unknown): level is LogLine['level'] {
  return level === 'debug' || level === 'info' || level === 'warn' || level === 'error'
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
