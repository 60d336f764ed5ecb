import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CloudError } from './errors.ts'

/**
 * Makes a folder and those above it that are missing; one that is there stays as it is. Node's own `recursive` never ends where a
 * folder takes no new ones and says of them that they do not exist (/proc).
 * @throws CloudError `access` there; else what the disk says
 */
export async function makeFolders(path: string, mode: number): Promise<void> {
  try {
    if (await isMade(path, mode)) return
    await makeFolders(dirname(path), mode)
    if (await isMade(path, mode)) return
  } catch (caught) {
    throw CloudError.from(caught)
  }
  throw new CloudError('access', `${path} cannot be made: ${dirname(path)} takes no folders`, { hint: 'Choose another place.' })
}

/** False if the folder above it is missing, or says so. */
async function isMade(path: string, mode: number): Promise<boolean> {
  try {
    await mkdir(path, { mode })
    return true
  } catch (caught) {
    const code = caught instanceof Error && 'code' in caught ? caught.code : undefined
    if (code === 'ENOENT' && dirname(path) !== path) return false
    if (code === 'EEXIST' && (await isFolder(path))) return true
    throw caught
  }
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isDirectory() === true
}
