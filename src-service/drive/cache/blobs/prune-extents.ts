import { blockSize, blocksOf } from './block-map.ts'
import type { LocalBlob } from './local-blob.ts'

/** Extents over blocks that the row claims as present need not be written down: no fetch touches those. */
export function pruneExtents(blob: LocalBlob): void {
  for (const [start, end] of [...blob.extents]) {
    for (let block = Math.floor(start / blockSize); block < blocksOf(end); block += 1) {
      if (blob.rowPresent.has(block)) blob.extents.remove(block * blockSize, (block + 1) * blockSize)
    }
  }
}
