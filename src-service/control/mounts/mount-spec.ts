import { isAbsolute, normalize } from 'node:path'
import { CloudError } from '../../common/errors.ts'
import { newId } from '../../common/ids.ts'
import { type PlaceHints, type Places, whyVolatile } from '../../common/paths.ts'
import type { Descriptor } from '../../drive/connectors/connector.ts'
import { checkName } from '../store/names.ts'
import type { MountChange, MountRecord, NewMount, Options } from '../store/records.ts'
import type { MountPatch, MountSpec } from './mount-manager-contract.ts'
import { readMountOptions } from './mount-options.ts'
import { checkCachePlace, checkMountPlace, normalizeMountPath } from './mount-point.ts'
import { localFoldersOf, remoteRootOf, rootsOverlap } from './remote-overlap.ts'

/** What a mount is checked against. */
export interface MountSurroundings {
  readonly places: Pick<Places, 'state' | 'run'>
  readonly hints: Pick<PlaceHints, 'env' | 'home'>
  /** The account that the mount shows. */
  readonly account: KnownAccount
  readonly others: readonly { readonly record: NewMount; readonly account: KnownAccount }[]
}

export interface KnownAccount {
  readonly descriptor: Descriptor
  readonly options: Options
}

/** Below this not even one small file in progress would fit. */
const minCacheSize = 1024 * 1024
const maxLabels = 16

/** A new record out of what was asked for. Throws `invalid` or `exists`, with what to do. */
export function newMountRecord(spec: MountSpec, around: MountSurroundings): NewMount {
  const record = draftMountRecord(spec, around.account.descriptor, around.hints)
  checkMount(record, around)
  return record
}

/** The same, not yet checked against other mounts. */
export function draftMountRecord(spec: MountSpec, descriptor: Descriptor, hints: MountSurroundings['hints']): NewMount {
  return {
    id: newId(),
    name: spec.name,
    managedBy: 'api',
    managedFile: '',
    providerId: spec.providerId,
    remoteRoot: normalizeRemoteRoot(spec.remoteRoot),
    path: normalizeMountPath(spec.path),
    cacheSize: spec.cacheSize ?? descriptor.defaults.cacheSize,
    cacheDir: spec.cacheDir === '' ? '' : normalizeCacheDir(spec.cacheDir, hints),
    readOnly: spec.readOnly,
    access: spec.access,
    uid: spec.uid ?? process.getuid?.() ?? 0,
    gid: spec.gid ?? process.getgid?.() ?? 0,
    umask: spec.umask ?? 0o022,
    shared: spec.shared,
    labels: normalizeLabels(spec.labels),
    options: spec.options,
    enabled: false,
  }
}

/** What of a record changes. Throws as `newMountRecord`. */
export function mountChange(record: MountRecord, patch: MountPatch, around: MountSurroundings): MountChange {
  const { options: patched, cacheSize, uid, gid, umask, path, labels, ...plain } = patch
  const change: MountChange = {
    ...plain,
    ...(path === undefined ? {} : { path: normalizeMountPath(path) }),
    ...(cacheSize === undefined ? {} : { cacheSize: cacheSize ?? around.account.descriptor.defaults.cacheSize }),
    ...(uid === undefined ? {} : { uid: uid ?? process.getuid?.() ?? 0 }),
    ...(gid === undefined ? {} : { gid: gid ?? process.getgid?.() ?? 0 }),
    ...(umask === undefined ? {} : { umask: umask ?? 0o022 }),
    ...(labels === undefined ? {} : { labels: normalizeLabels(labels) }),
    ...(patched === undefined ? {} : { options: mergeOptions(record.options, patched) }),
  }
  checkMount({ ...record, ...change }, around)
  return change
}

/** Throws `invalid` or `exists`, with what to do, if the mount cannot be beside the others. */
export function checkMount(record: NewMount, around: MountSurroundings): void {
  checkName('mount', record.name)
  readMountOptions(record.options)
  checkNumbers(record)
  const { places, account } = around
  const others = around.others.filter(({ record: other }) => other.id !== record.id)
  const caches = [record, ...others.map(({ record: other }) => other)].flatMap(({ cacheDir }) => (cacheDir === '' ? [] : [cacheDir]))
  const paths = others.map(({ record: other }) => other.path)
  checkTaken(record.path, paths)
  checkMountPlace(record.path, [places.state, places.run, ...caches], paths)
  checkAround(record.path, paths)
  for (const folder of [...localFoldersOf(account.descriptor, account.options), ...(record.cacheDir === '' ? [] : [record.cacheDir])]) {
    checkCachePlace(folder, [record.path, ...paths])
  }
  checkRemote(record, account, others)
}

function checkTaken(path: string, others: readonly string[]): void {
  if (!others.includes(path)) return
  throw new CloudError('exists', `another mount is configured on ${path}`, { code: 'PATH_OVERLAP', hint: 'Choose another folder.' })
}

/** A mount around another one would hide it, or hang with it. */
function checkAround(path: string, others: readonly string[]): void {
  const below = others.find((other) => other.startsWith(`${path}/`))
  if (below === undefined) return
  throw new CloudError('invalid', `${path} contains the mount point ${below}`, {
    code: 'PATH_OVERLAP',
    hint: 'Choose a folder outside of it.',
  })
}

function checkRemote(record: NewMount, account: KnownAccount, others: MountSurroundings['others']): void {
  if (record.shared) return
  const root = remoteRootOf(account.descriptor, account.options, record.remoteRoot)
  for (const other of others) {
    if (record.readOnly && other.record.readOnly) continue
    const theirs = remoteRootOf(other.account.descriptor, other.account.options, other.record.remoteRoot)
    if (!rootsOverlap(root, theirs)) continue
    throw new CloudError('exists', `the mount '${other.record.name}' shows the same remote folder, and one of the two may write`, {
      code: 'REMOTE_OVERLAP',
      hint: 'Each sees what the other one does after a while only. If that is what you want, use --shared; otherwise --read-only on both.',
    })
  }
}

function checkNumbers(record: NewMount): void {
  const { cacheSize, uid, gid, umask } = record
  if (!Number.isSafeInteger(cacheSize) || cacheSize < minCacheSize) {
    throw new CloudError('invalid', `a cache of ${cacheSize} bytes is too small`, { hint: 'At least 1 MiB; a few GiB are usual.' })
  }
  for (const [name, value] of [
    ['uid', uid],
    ['gid', gid],
  ] as const) {
    if (!Number.isInteger(value) || value < 0 || value > 0xffff_fffe)
      throw new CloudError('invalid', `${name} ${value} is not the number of a user or group`)
  }
  if (!Number.isInteger(umask) || umask < 0 || umask > 0o777)
    throw new CloudError('invalid', 'umask is an octal number between 000 and 777')
}

/** `a/b`: no slash at either end, no `.` and `..`. */
function normalizeRemoteRoot(root: string): string {
  const names = root.split('/').filter((name) => name !== '')
  if (root.includes('\0') || names.some((name) => name === '.' || name === '..')) {
    throw new CloudError('invalid', `'${root}' is not a folder of an account`, { hint: 'Give it as a/b, from the account’s root.' })
  }
  return names.join('/')
}

function normalizeCacheDir(folder: string, hints: Pick<PlaceHints, 'env' | 'home'>): string {
  if (!isAbsolute(folder) || folder.includes('\0')) throw new CloudError('invalid', `the cache folder '${folder}' is not an absolute path`)
  const plain = normalize(folder).replace(/(?<=.)\/$/, '')
  // Whoever moved the whole home decides where things are kept.
  const cleaned = hints.env['CLOUDMOOR_HOME'] === undefined ? whyVolatile(plain, hints) : null
  if (cleaned === null) return plain
  throw new CloudError('invalid', `the cache folder ${plain} lies under ${cleaned}, where files are cleaned away`, {
    hint: 'It holds the only copy of files that are not uploaded yet: choose a folder that is kept.',
  })
}

/** Sorted, each once. */
function normalizeLabels(labels: readonly string[]): string[] {
  const wrong = labels.find((label) => !/^[a-z0-9._-]{1,63}$/.test(label))
  if (wrong !== undefined || labels.length > maxLabels) {
    throw new CloudError('invalid', wrong === undefined ? 'a mount has too many labels' : `'${wrong.slice(0, 80)}' cannot be a label`, {
      hint: `At most ${maxLabels} labels, each of 1 to 63 characters out of a-z 0-9 . _ -`,
    })
  }
  return [...new Set(labels)].sort()
}

function mergeOptions(stored: Options, patch: NonNullable<MountPatch['options']>): Options {
  const merged = Object.entries({ ...stored, ...patch }).flatMap(([name, value]) => (value === null ? [] : [[name, value] as const]))
  return Object.fromEntries(merged)
}
