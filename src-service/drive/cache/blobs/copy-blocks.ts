import { CloudError } from '../../../common/errors.ts'
import { type BlockMap, blockSize, blocksOf } from './block-map.ts'
import type { BlobContext } from './context.ts'
import { Extents } from './extents.ts'

const bufferSize = 1024 * 1024
const stepSize = 64 * 1024 * 1024

/** The byte ranges below `size` that take room, so that holes stay holes. */
export function chargedRanges(charged: BlockMap, size: number): Extents {
  const ranges = new Extents()
  for (let block = 0; block < blocksOf(size); block += 1) {
    if (charged.has(block)) ranges.add(block * blockSize, Math.min(size, (block + 1) * blockSize))
  }
  return ranges
}

/** Copies ranges to the same places of another file; resolves with the bytes copied. @throws no-space, io */
export async function copyRanges({ disk, native }: BlobContext, fromFd: number, toFd: number, ranges: Iterable<[number, number]>): Promise<void> {
  const buffer = native === null ? Buffer.allocUnsafeSlow(bufferSize) : undefined
  for (const [start, end] of ranges) {
    for (let at = start; at < end; ) {
      let done: number
      if (native !== null) {
        done = await native.copyRange(fromFd, at, toFd, at, Math.min(end - at, stepSize)).catch((error: unknown) => {
          throw CloudError.from(error)
        })
      } else if (buffer !== undefined) {
        const got = await disk.read(fromFd, buffer, 0, Math.min(end - at, buffer.length), at)
        done = await disk.write(toFd, buffer, 0, got, at)
        if (done < got) throw new CloudError('no-space', 'the disk is full')
      } else return
      if (done === 0) break
      at += done
    }
  }
}
