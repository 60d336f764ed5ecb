import { lstat, readdir, readFile, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CloudError } from '../../common/errors.ts'
import { makeFolders } from '../../common/make-folders.ts'
import type { Places } from '../../common/paths.ts'
import type { MountRecord, Options } from '../store/records.ts'
import { driveFolder } from './mount-plan.ts'

/** What a drive's folder says of itself, so that it is understood without the service's database. */
export interface DriveNote {
  readonly version: 1
  readonly mount: MountRecord
  /** Without secrets. */
  readonly provider: { readonly id: string; readonly name: string; readonly type: string; readonly options: Options }
}

/** A drive's folder on this machine. */
export interface FoundDrive {
  readonly id: string
  /** Where it lies, links followed. */
  readonly folder: string
  /** As of a mount: '' = in the service's state. */
  readonly cacheDir: string
  readonly note: DriveNote | null
}

const noteFile = 'mount.json'
const idPattern = /^[0-9a-hjkmnp-tv-z]{16}$/

/** Says in the drive's folder what it is; folders elsewhere are linked from the state, so that they are found without the database. */
export async function writeNote(note: DriveNote, places: Pick<Places, 'mounts'>): Promise<void> {
  const folder = driveFolder(note.mount, places)
  await makeFolders(folder, 0o700)
  const path = join(folder, noteFile)
  await writeFile(`${path}.new`, JSON.stringify(note), { mode: 0o600, flush: true })
  await rename(`${path}.new`, path)
  if (note.mount.cacheDir === '') return
  await symlink(folder, join(places.mounts, note.mount.id)).catch((caught: unknown) => {
    if (CloudError.from(caught).kind !== 'exists') throw caught
  })
}

/** Null: there is none, or it cannot be read. */
export async function readNote(folder: string): Promise<DriveNote | null> {
  try {
    const value: unknown = JSON.parse(await readFile(join(folder, noteFile), 'utf8'))
    return isNote(value) ? value : null
  } catch {
    return null
  }
}

/** Every drive that has ever been opened on this home, and not been removed. */
export async function findDrives(places: Pick<Places, 'mounts'>): Promise<readonly FoundDrive[]> {
  const names = await readdir(places.mounts).catch(() => [])
  const found = await Promise.all(names.filter((name) => idPattern.test(name)).map((id) => findDrive(id, places)))
  return found.filter((drive) => drive !== null)
}

/** Null: nothing of this id is here. */
export async function findDrive(id: string, places: Pick<Places, 'mounts'>): Promise<FoundDrive | null> {
  if (!idPattern.test(id)) return null
  const entry = join(places.mounts, id)
  const target = await readlink(entry).catch(() => null)
  const folder = target ?? entry
  const isThere = await lstat(join(folder, 'drive.sqlite')).then(
    (file) => file.isFile(),
    () => false,
  )
  if (!isThere) return null
  return { id, folder, cacheDir: target === null ? '' : dirname(target), note: await readNote(folder) }
}

/** Removes a drive's folder, and the link to it. What a power cut left unproved stays, unless `all`. */
export async function removeDrive(drive: Pick<MountRecord, 'id' | 'cacheDir'>, places: Pick<Places, 'mounts'>, all = false): Promise<void> {
  const folder = driveFolder(drive, places)
  const unproved = all ? [] : await readdir(join(folder, 'quarantine')).catch(() => [])
  if (unproved.length > 0) return
  await rm(folder, { recursive: true, force: true })
  await rm(join(places.mounts, drive.id), { recursive: true, force: true })
}

function isNote(value: unknown): value is DriveNote {
  if (typeof value !== 'object' || value === null || !('version' in value) || value.version !== 1) return false
  if (!('mount' in value) || !('provider' in value)) return false
  const { mount, provider } = value
  return hasTexts(mount, ['id', 'name', 'providerId', 'remoteRoot', 'path', 'cacheDir']) && hasTexts(provider, ['id', 'name', 'type'])
}

function hasTexts(value: unknown, fields: readonly string[]): boolean {
  return (
    typeof value === 'object' && value !== null && fields.every((field) => typeof (value as Record<string, unknown>)[field] === 'string')
  )
}
