/** Makes finished contents appear under their name in one step, and durably. */
import fs from 'node:fs'
import { CloudError } from '../../../common/errors.ts'
import type { Native } from '../../../common/native/native.ts'
import type { Precondition } from '../connector.ts'
import { revOf } from './entry-facts.ts'
import { lstatOrNull } from './lstat-or-null.ts'
import type { OpenFolder } from './open-folder.ts'
import { renameNew } from './rename-new.ts'

/**
 * Renames `temp` to `name`. After the promise resolves the new name survives a power cut.
 * @throws CloudError `conflict` if the precondition failed; `temp` is still there then
 */
export async function publish(
  native: Native | null,
  folder: OpenFolder,
  temp: Buffer,
  name: Buffer,
  precondition: Precondition,
): Promise<void> {
  const target = folder.entry(name)
  switch (precondition.kind) {
    case 'absent':
      await publishNew(native, temp, target)
      break
    case 'rev':
      await requireRev(target, precondition.rev)
      await fs.promises.rename(temp, target)
      break
    case 'any':
      await fs.promises.rename(temp, target)
      break
  }
  await syncFolder(folder)
}

async function publishNew(native: Native | null, temp: Buffer, target: Buffer): Promise<void> {
  try {
    await renameNew(native, temp, target)
  } catch (caught) {
    if (CloudError.from(caught).kind !== 'exists') throw caught
    throw new CloudError('conflict', 'the name was taken meanwhile', { cause: caught })
  }
}

/** @throws CloudError `conflict` unless the object is there and at `rev` */
export async function requireRev(path: Buffer, rev: string): Promise<void> {
  const stats = await lstatOrNull(path)
  if (!stats || revOf(stats) !== rev) throw new CloudError('conflict', 'the file was changed meanwhile')
}

async function syncFolder(folder: OpenFolder): Promise<void> {
  const handle = await fs.promises.open(folder.self, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
