import { open } from 'node:fs/promises'
import type { LogView } from './views.ts'

const tailBytes = 512 * 1024

/** The last entries of a log file of JSON lines, oldest first; what is no entry is left out. Empty if there is no such file. */
export async function readLogFile(path: string): Promise<LogView[]> {
  return (await readTail(path)).split('\n').flatMap((line) => {
    const entry = parse(line)
    return entry === undefined ? [] : [entry]
  })
}

async function readTail(path: string): Promise<string> {
  try {
    await using file = await open(path)
    const { size } = await file.stat()
    const length = Math.min(size, tailBytes)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length)
    return buffer.toString('utf8', 0, bytesRead)
  } catch {
    return ''
  }
}

function parse(line: string): LogView | undefined {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const text = (name: string): string => (name in value ? String(value[name as keyof typeof value]) : '')
  return {
    time: text('time'),
    level: text('level'),
    program: text('program'),
    pid: Number(text('pid')),
    mountId: text('mountId'),
    correlationId: text('correlationId'),
    message: text('message'),
    fields: 'fields' in value && typeof value.fields === 'object' && value.fields !== null ? { ...value.fields } : {},
  }
}
