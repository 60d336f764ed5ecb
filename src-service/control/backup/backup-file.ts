import { createHash } from 'node:crypto'
import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { CloudError } from '../../common/errors.ts'

/** What a backup says of itself. Times are milliseconds since 1970. */
export interface BackupHead {
  readonly version: 1
  /** Version of the program that made it. */
  readonly program: string
  /** Version of the database's schema. */
  readonly schema: number
  readonly createdAt: number
  readonly database: { readonly bytes: number; readonly sha256: string }
  /** Key files of the home, sealed under a passphrase; null = they are not in it. */
  readonly keys: SealedKeys | null
  /** Files that were not uploaded then; they are not in the backup. */
  readonly unsent: readonly UnsentFiles[]
}

export interface SealedKeys {
  readonly sealing: { readonly salt: string; readonly memoryKiB: number; readonly passes: number; readonly lanes: number }
  /** Base64 by the name of the file. */
  readonly sealed: Readonly<Record<string, string>>
}

export interface UnsentFiles {
  readonly name: string
  readonly mountId: string
  /** Null = could not be counted. */
  readonly files: number | null
  readonly bytes: number
}

/** A backup that was opened. `head` is null for a plain copy of the database, as migrations make one: nothing in it says what it should be. */
export interface OpenedBackup {
  readonly head: BackupHead | null
  /** Where the database begins in the file. */
  readonly offset: number
  readonly bytes: number
}

const magic = 'CloudMoor backup 1'
const plainMagic = 'SQLite format 3\0'
const mostHead = 1024 * 1024
const atOnce = 1024 * 1024

/**
 * Writes `magic, hash of the head`, the head, the database. The file gets its name when it is on the disk, whole.
 * Throws `exists` if there is one of this name.
 */
export async function writeBackup(path: string, head: Omit<BackupHead, 'database'>, database: string): Promise<BackupHead> {
  const source = await open(database, 'r')
  const unfinished = join(dirname(path), `.${basename(path)}.unfinished`)
  try {
    await refuseExisting(path)
    await unlink(unfinished).catch(() => {})
    const target = await open(unfinished, 'wx', 0o600)
    try {
      const { size } = await source.stat()
      const whole: BackupHead = { ...head, database: { bytes: size, sha256: await copyBytes(source, 0, size, null) } }
      const line = Buffer.from(`${JSON.stringify(whole)}\n`)
      await target.writeFile(Buffer.concat([Buffer.from(`${magic} ${sha256(line)}\n`), line]))
      await copyBytes(source, 0, size, target)
      await target.sync()
      await rename(unfinished, path)
      return whole
    } finally {
      await target.close()
    }
  } catch (caught) {
    await unlink(unfinished).catch(() => {})
    throw CloudError.from(isOfTarget(caught) ? Object.assign(caught, { path }) : caught)
  } finally {
    await source.close()
  }
}

/** A handle's errors do not say of which file they are, and nobody knows the unfinished one. */
function isOfTarget(caught: unknown): caught is Error {
  return caught instanceof Error && 'syscall' in caught && caught.syscall !== 'read'
}

async function refuseExisting(path: string): Promise<void> {
  const file = await open(path, 'r').catch(() => null)
  if (file === null) return
  await file.close()
  throw new CloudError('exists', `${path} is there already`, { hint: 'A backup replaces nothing: choose another name.' })
}

/** Reads what a backup says of itself. Throws `damaged` or `invalid` (it is none). */
export async function readHead(file: FileHandle): Promise<OpenedBackup> {
  const { size } = await file.stat()
  const begin = await bytesAt(file, 0, Math.min(size, mostHead))
  if (begin.subarray(0, plainMagic.length).toString('latin1') === plainMagic) return { head: null, offset: 0, bytes: size }
  const first = begin.indexOf(10)
  const second = begin.indexOf(10, first + 1)
  const [, hash] = /^CloudMoor backup 1 ([0-9a-f]{64})$/.exec(begin.subarray(0, Math.max(0, first)).toString('latin1')) ?? []
  if (hash === undefined) throw new CloudError('invalid', 'this is no backup of CloudMoor')
  const line = begin.subarray(first + 1, second + 1)
  if (second < 0 || sha256(line) !== hash) throw changed()
  const head = JSON.parse(line.toString()) as BackupHead
  if (size !== second + 1 + head.database.bytes) throw changed()
  return { head, offset: second + 1, bytes: head.database.bytes }
}

/** Copies the database out of a backup (`target` null: only reads it) and compares it with its hash. Throws `damaged`. */
export async function copyDatabase(file: FileHandle, { head, offset, bytes }: OpenedBackup, target: FileHandle | null): Promise<void> {
  const found = await copyBytes(file, offset, bytes, target)
  if (head !== null && found !== head.database.sha256) throw changed()
}

function changed(): CloudError {
  return new CloudError('damaged', 'the backup is not as it was written: a part of it was changed or is missing', {
    hint: 'Take another one. Nothing was changed.',
  })
}

async function copyBytes(source: FileHandle, offset: number, length: number, target: FileHandle | null): Promise<string> {
  const hash = createHash('sha256')
  for (let done = 0; done < length; ) {
    const bytes = await bytesAt(source, offset + done, Math.min(atOnce, length - done))
    if (bytes.length === 0) throw changed()
    hash.update(bytes)
    if (target !== null) await target.writeFile(bytes)
    done += bytes.length
  }
  return hash.digest('hex')
}

async function bytesAt(file: FileHandle, at: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length)
  const { bytesRead } = await file.read(buffer, 0, length, at)
  return buffer.subarray(0, bytesRead)
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
