import { readFile } from 'node:fs/promises'
import { Secret } from '../../common/secret.ts'
import { checkCopy } from '../store/database-copies.ts'
import { lockHome } from '../store/home-lock.ts'
import { stageRestore } from './stage-restore.ts'

/** Before the database is opened, which might be refused: has a backup put in its place. Throws `busy` while another service has the home. */
export async function restoreAtStart(
  { path, passphraseFile }: { readonly path: string; readonly passphraseFile: string | null },
  { database, lock }: { readonly database: string; readonly lock: string },
): Promise<void> {
  const passphrase = passphraseFile === null ? null : new Secret((await readFile(passphraseFile, 'utf8')).replace(/\r?\n$/, ''))
  const staged = await stageRestore({ path, passphrase }, database, checkCopy)
  const held = lockHome(lock, 0)
  try {
    await staged.commit()
  } finally {
    held.release()
  }
}
