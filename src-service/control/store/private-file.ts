import { closeSync, fchmodSync, openSync } from 'node:fs'

/** Makes the file if it is absent and closes it to others; SQLite gives its -wal and -shm the same mode. Blocks: for the store's thread. */
export function createPrivateFile(path: string): void {
  const file = openSync(path, 'a', 0o600)
  try {
    fchmodSync(file, 0o600)
  } finally {
    closeSync(file)
  }
}
