import { CloudError } from '../../common/errors.ts'
import type { Places } from '../../common/paths.ts'
import type { Descriptor } from '../../drive/connectors/connector.ts'
import type { MountRecord, NewMount, Options } from '../store/records.ts'
import { type DriveNote, type FoundDrive, readNote, writeNote } from './drive-notes.ts'
import type { AdoptWish } from './mount-manager-contract.ts'
import { driveFolder } from './mount-plan.ts'
import { checkMount, type KnownAccount, type MountSurroundings } from './mount-spec.ts'
import { normalizeMountPath } from './mount-point.ts'
import { remoteRootOf } from './remote-overlap.ts'

/** The row of the mount that takes an orphan over: as it was, with another name, path or account where that is wished. */
export function adoptedRecord({ id, cacheDir, note }: FoundDrive, wish: AdoptWish, around: MountSurroundings): NewMount {
  if (note === null) throw new CloudError('unsupported', 'its folder does not say which account it is of')
  const { mount } = note
  const record: NewMount = {
    ...mount,
    ...{ id, cacheDir, enabled: false, managedBy: 'api', managedFile: '' },
    name: wish.name || mount.name,
    path: wish.path === '' ? mount.path : normalizeMountPath(wish.path),
    providerId: wish.providerId || mount.providerId,
  }
  refuseOther(note, record, around.account)
  checkMount(record, around)
  return record
}

/**
 * Writes down whose a drive is, before it is opened. Throws `conflict` if its folder holds what was meant for another account or
 * another folder of it: uploading that here would be wrong.
 */
export async function noteDrive(
  record: MountRecord,
  account: { readonly name: string; readonly type: string; readonly options: Options },
  parts: { readonly places: Pick<Places, 'mounts'>; readonly descriptors: readonly Descriptor[] },
): Promise<void> {
  const found = await readNote(driveFolder(record, parts.places))
  const descriptor = parts.descriptors.find(({ type }) => type === account.type)
  if (found !== null && descriptor !== undefined) refuseOther(found, record, { descriptor, options: account.options })
  const { name, type, options } = account
  const note: DriveNote = { version: 1, mount: record, provider: { id: record.providerId, name, type, options } }
  if (JSON.stringify(found) !== JSON.stringify(note)) await writeNote(note, parts.places)
}

function refuseOther(note: DriveNote, record: NewMount, account: KnownAccount): void {
  if (isSameAccount(note, record, account) && note.mount.remoteRoot === record.remoteRoot) return
  const { mount, provider } = note
  throw new CloudError('conflict', `what waits in '${mount.name}' is for the account '${provider.name}', folder '/${mount.remoteRoot}'`, {
    hint: 'Adopt it with that account; or take its files out: cloudmoor orphans export.',
  })
}

/** The same account, or another name for the same place. */
function isSameAccount({ provider }: DriveNote, record: NewMount, { descriptor, options }: KnownAccount): boolean {
  if (provider.id === record.providerId) return true
  const [theirs, ours] = [provider.options, options].map((each) => JSON.stringify(remoteRootOf(descriptor, each, '')))
  return provider.type === descriptor.type && theirs === ours
}
