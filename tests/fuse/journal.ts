import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { RequestLog } from '../../src-service/drive/cache/request-log.ts'
import { fileContents } from './contents.ts'
import { memoryRequestLog } from './memory-request-log.ts'
import type { LogRow } from './memory-request-log.ts'
import { TestFilesystem } from './test-filesystem.ts'
import type { Effect } from './test-filesystem.ts'

/** One transaction: what a change did, and the answer to it. Without `unique`: the log was cleared. */
interface Line {
  readonly unique?: number
  readonly errno?: number
  readonly payload?: string
  readonly effects?: readonly Effect[]
}

export interface Journaled {
  readonly filesystem: TestFilesystem
  readonly requestLog: RequestLog
}

/**
 * A file system that outlives its process: bytes are in one file per node, and each change is one line of a journal together with
 * its answer. A line that a death cut off was never answered, so it is dropped.
 */
export function openJournaled(folder: string): Journaled {
  const path = join(folder, 'journal')
  const fd = openSync(path, 'a')
  const whole = readFileSync(path, 'utf8')
  const kept = whole.slice(0, whole.lastIndexOf('\n') + 1)
  ftruncateSync(fd, Buffer.byteLength(kept))
  const filesystem = new TestFilesystem(fileContents(join(folder, 'contents')))
  const rows = new Map<number, LogRow>()
  for (const text of kept.split('\n').slice(0, -1)) replay(JSON.parse(text) as Line, filesystem, rows)

  const memory = memoryRequestLog(rows)
  const append = (line: Line): void => {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`)
    if (writeSync(fd, bytes) !== bytes.length) throw new Error('short write')
  }
  let effects: Effect[] = []
  filesystem.journal = (effect) => void effects.push(structuredClone(effect))
  const requestLog: RequestLog = {
    ...memory,
    run(unique, payload, work, errnoOf) {
      effects = []
      const { errno, length } = memory.run(unique, payload, work, errnoOf)
      append({ unique, errno, payload: payload.toString('base64', 0, length), effects: errno === 0 ? effects : [] })
      return { errno, length }
    },
    clear() {
      memory.clear()
      append({})
    },
  }
  process.once('exit', () => closeSync(fd))
  return { filesystem, requestLog }
}

function replay(line: Line, filesystem: TestFilesystem, rows: Map<number, LogRow>): void {
  if (line.unique === undefined) {
    rows.clear()
    return
  }
  for (const effect of line.effects ?? []) filesystem.apply(effect)
  rows.set(line.unique, { errno: line.errno ?? 0, payload: Buffer.from(line.payload ?? '', 'base64') })
}
