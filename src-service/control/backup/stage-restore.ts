import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CloudError } from '../../common/errors.ts'
import type { Secret } from '../../common/secret.ts'
import { restoredDatabase, restorePlaces } from '../store/restore-files.ts'
import { type BackupHead, copyDatabase, readHead } from './backup-file.ts'
import { openKeys } from './sealed-keys.ts'

export interface StagedRestore {
  readonly head: BackupHead | null
  /** Of the database. */
  readonly schema: number
  /** From now on the next start takes it. */
  commit(): Promise<void>
  drop(): Promise<void>
}

export interface RestoreFrom {
  /** Absolute path. */
  readonly path: string
  /** Opens the key files in it; null = they stay where they are. */
  readonly passphrase: Secret | null
}

/**
 * Puts what a backup holds beside the database, and checks every byte of it. Nothing of what is in use changes before `commit`.
 * Throws `damaged`, `invalid`, `sign-in`, `unsupported` (DATABASE_NEWER).
 */
export async function stageRestore(
  { path, passphrase }: RestoreFrom,
  database: string,
  check: (copy: string) => Promise<{ readonly schema: number }> | { readonly schema: number },
): Promise<StagedRestore> {
  const { unfinished, ready } = restorePlaces(database)
  await rm(unfinished, { recursive: true, force: true })
  await mkdir(unfinished, { mode: 0o700 })
  const drop = () => rm(unfinished, { recursive: true, force: true })
  try {
    const head = await unpack(path, join(unfinished, restoredDatabase))
    const { schema } = await check(join(unfinished, restoredDatabase))
    if (head?.keys != null && passphrase !== null) {
      for (const [name, key] of await openKeys(passphrase, head.keys)) {
        await writeFile(join(unfinished, keyName(name)), key, { mode: 0o600, flush: true })
      }
    }
    const commit = async () => {
      await syncFolder(unfinished)
      await rm(ready, { recursive: true, force: true })
      await rename(unfinished, ready)
      await syncFolder(dirname(ready))
    }
    return { head, schema, commit, drop }
  } catch (caught) {
    await drop()
    throw CloudError.from(caught)
  }
}

async function unpack(path: string, target: string): Promise<BackupHead | null> {
  const file = await open(path, 'r').catch((caught: unknown) => {
    throw new CloudError(CloudError.from(caught).kind, `the backup ${path} cannot be read`, { cause: caught })
  })
  try {
    const opened = await readHead(file)
    const copy = await open(target, 'wx', 0o600)
    try {
      await copyDatabase(file, opened, copy)
      await copy.sync()
    } finally {
      await copy.close()
    }
    return opened.head
  } finally {
    await file.close()
  }
}

/** The names come out of a file: only those that are known are taken. */
function keyName(name: string): string {
  if (name === 'secrets.key' || name === 'audit.key') return name
  throw new CloudError('invalid', 'the backup holds a key that this version does not know')
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** A key file's bytes; null if there is none. */
export async function readKey(path: string): Promise<Buffer | null> {
  return readFile(path).catch((caught: unknown) => {
    if (CloudError.from(caught).kind === 'not-found') return null
    throw CloudError.from(caught)
  })
}
