import { join } from 'node:path'
import { CloudError } from '../../../common/errors.ts'
import { folderOf } from './blob-files.ts'
import type { BlobContext } from './context.ts'

const folders = 256

/** Folders of the blobs, below `blobs/`. */
export function blobFolders(): string[] {
  return Array.from({ length: folders }, (_, index) => folderOf(index * 256))
}

/**
 * Moves files that belong to no row to lost+found/: they may be the only copy of something.
 * @param upTo newer generations are this process's own
 * @returns how many there were
 */
export async function moveOrphans({ disk, rows, folder, clock, host }: BlobContext, upTo: number, signal: AbortSignal): Promise<number> {
  let found = 0
  for (const name of blobFolders()) {
    if (signal.aborted) return found
    for (const file of await disk.list(join(folder, 'blobs', name))) {
      const [node, generation] = file.split('.').map(Number)
      const known = node !== undefined && generation !== undefined && (generation > upTo || rows.knows(node, generation))
      if (known) continue
      const path = join(folder, 'blobs', name, file)
      // It may have been about to be removed, and its row too.
      if ((await disk.factsAt(path)) === undefined) continue
      await disk.move(path, join(folder, 'lost+found', `${file}-${clock.now()}`))
      host.log('warn', 'a file that belongs to nothing was moved to lost+found', { file })
      found += 1
    }
  }
  return found
}

/** Says so if a file that holds the only copy of changes is gone. */
export async function reportMissing(
  context: BlobContext,
  pathOf: (node: number, generation: number) => string,
  signal: AbortSignal,
): Promise<void> {
  const { disk, rows, host } = context
  for (const { node, generation, size } of rows.dirty()) {
    if (signal.aborted) return
    if ((await disk.factsAt(pathOf(node, generation))) !== undefined || rows.load(node)?.generation !== generation) continue
    rows.setFault(node, 'blob_missing')
    host.log('error', 'the only copy of changes is gone from the disk', { node, size })
  }
}

/** Runs what may wait until after the start; a failure is logged. */
export function behind(context: BlobContext, what: string, work: () => Promise<unknown>): void {
  work().catch((error: unknown) => {
    context.host.log('warn', `${what} failed`, { reason: CloudError.from(error).message })
  })
}
