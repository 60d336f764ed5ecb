import { CloudError } from '../../../common/errors.ts'
import type { BlobContext } from './context.ts'
import { Extents } from './extents.ts'

const bufferSize = 1024 * 1024
const stepSize = 64 * 1024 * 1024
const seekData = 3
const seekHole = 4
/** Without a pause for others. */
const seeksAtOnce = 1000

/** The byte ranges of a file that are no holes, as the file system tells; everything where it cannot be asked. */
export async function dataRanges({ native }: BlobContext, fd: number, size: number): Promise<Extents> {
  const ranges = new Extents()
  if (native === null) {
    ranges.add(0, size)
    return ranges
  }
  for (let at = 0; at < size; ) {
    if (ranges.count % seeksAtOnce === seeksAtOnce - 1) await new Promise((resolve) => setImmediate(resolve))
    const start = native.seek(fd, at, seekData)
    if (start < 0 || start >= size) break
    const end = native.seek(fd, start, seekHole)
    at = end < 0 ? size : Math.min(end, size)
    ranges.add(start, at)
  }
  return ranges
}

/** Copies ranges to the same places of another file. */
export async function copyRanges(context: BlobContext, fromFd: number, toFd: number, ranges: Iterable<[number, number]>): Promise<void> {
  const { disk, native } = context
  const buffer = Buffer.alloc(native === null ? bufferSize : 0)
  for (const [start, end] of ranges) {
    for (let at = start; at < end; ) {
      const length = Math.min(end - at, native === null ? bufferSize : stepSize)
      const done =
        native === null ? await copyThrough(disk, fromFd, toFd, buffer, at, length) : await native.copyRange(fromFd, at, toFd, at, length)
      if (done === 0) break
      at += done
    }
  }
}

async function copyThrough(
  disk: BlobContext['disk'],
  fromFd: number,
  toFd: number,
  buffer: Buffer,
  at: number,
  length: number,
): Promise<number> {
  const got = await disk.read(fromFd, buffer, 0, length, at)
  const written = await disk.write(toFd, buffer, 0, got, at)
  if (written < got) throw new CloudError('no-space', 'the disk is full')
  return got
}
