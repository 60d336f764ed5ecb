/** Gives an object another name, never one that exists. */
import fs from 'node:fs'
import { CloudError } from '../../../common/errors.ts'
import type { Native } from '../../../common/native/native.ts'
import { exists } from './lstat-or-null.ts'

/**
 * In one step where the file system can: a process that dies leaves the object under one name, not under two.
 * @throws CloudError `exists` if the name is taken
 */
export async function renameNew(native: Native | null, from: Buffer, to: Buffer): Promise<void> {
  try {
    if (native !== null && (await renamedAtOnce(native, from, to))) return
    await renameByLink(from, to)
  } catch (caught) {
    const error = CloudError.from(caught)
    throw error.kind === 'exists' ? new CloudError('exists', 'the name is taken', { cause: caught }) : error
  }
}

async function renamedAtOnce(native: Native, from: Buffer, to: Buffer): Promise<boolean> {
  try {
    await native.renameNew(from, to)
    return true
  } catch (caught) {
    const { kind } = CloudError.from(caught)
    if (kind !== 'invalid' && kind !== 'unsupported') throw caught
    return false
  }
}

/** link(2) fails if the name is taken, so that two writers cannot both succeed. Folders, and some file systems, have no links. */
async function renameByLink(from: Buffer, to: Buffer): Promise<void> {
  try {
    await fs.promises.link(from, to)
  } catch (caught) {
    const { kind } = CloudError.from(caught)
    if (kind !== 'permission' && kind !== 'unsupported' && kind !== 'too-many-links') throw caught
    if (await exists(to)) throw new CloudError('exists', 'the name is taken')
    await fs.promises.rename(from, to)
    return
  }
  await fs.promises.unlink(from)
}
