import type fs from 'node:fs'
import { CloudError } from '../../../common/errors.ts'
import { revOf } from './entry-facts.ts'

const chunkSize = 2 ** 20

/**
 * Bytes [start, end) of the version `rev`. The version is looked at before the first chunk and again after each, before the
 * chunk is given away: whoever writes into the file meanwhile ends the read, and no mix of two versions goes out.
 */
export async function* readFile(
  handle: fs.promises.FileHandle,
  start: number,
  end: number,
  rev: string,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  await requireVersion(handle, rev)
  for (let position = start; position < end; ) {
    if (signal.aborted) throw CloudError.from(signal.reason)
    const buffer = Buffer.allocUnsafeSlow(Math.min(chunkSize, end - position))
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, position)
    await requireVersion(handle, rev)
    if (bytesRead === 0) throw new CloudError('invalid', 'the range ends behind the end of the file')
    yield buffer.subarray(0, bytesRead)
    position += bytesRead
  }
}

async function requireVersion(handle: fs.promises.FileHandle, rev: string): Promise<void> {
  const stats = await handle.stat({ bigint: true })
  if (stats.isDirectory()) throw new CloudError('is-a-folder', 'a folder has no contents')
  if (revOf(stats) !== rev) throw new CloudError('conflict', 'the file was changed meanwhile')
}
