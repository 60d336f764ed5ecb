import { randomBytes } from 'node:crypto'
import { link, open, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CloudError } from '../../common/errors.ts'

const keyBytes = 32

/** Reads the key; null if there is no file. Throws `access` if others can read it, `damaged` if it is not a key. */
export async function readKeyFile(path: string): Promise<Buffer | null> {
  const file = await openKey(path)
  if (file === null) return null
  try {
    const found = await file.stat()
    if (!found.isFile() || (found.mode & 0o077) !== 0 || (process.getuid !== undefined && found.uid !== process.getuid())) {
      throw new CloudError('access', `the key file ${path} is not a file of this user alone`, {
        hint: `Look who could read it. If nobody did: chmod 600 ${path}`,
      })
    }
    const key = await file.readFile()
    if (key.length === keyBytes) return key
    throw new CloudError('damaged', `the key file ${path} has ${key.length} bytes, not ${keyBytes}`, { hint: 'Put it back from a backup.' })
  } finally {
    await file.close()
  }
}

async function openKey(path: string) {
  try {
    return await open(path, 'r')
  } catch (caught) {
    const error = CloudError.from(caught)
    if (error.kind === 'not-found') return null
    throw error
  }
}

/** Makes a random key, mode 0600; it is on the disk, whole, before it has its name. Throws `exists` if there is a file. One at a time. */
export async function createKeyFile(path: string): Promise<Buffer> {
  // One name for all, so that what a crash leaves is cleared by the next.
  const unfinished = join(dirname(path), 'unfinished.key')
  const key = randomBytes(keyBytes)
  await unlink(unfinished).catch(() => {})
  try {
    const file = await open(unfinished, 'wx', 0o600)
    try {
      await file.writeFile(key)
      await file.sync()
    } finally {
      await file.close()
    }
    await link(unfinished, path)
    await unlink(unfinished)
    await syncFolder(dirname(path))
    return key
  } catch (caught) {
    throw CloudError.from(caught)
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Takes the file away, if it is there. */
export async function removeKeyFile(path: string): Promise<void> {
  try {
    await unlink(path)
    await syncFolder(dirname(path))
  } catch (caught) {
    const error = CloudError.from(caught)
    if (error.kind !== 'not-found') throw error
  }
}
