import fs from 'node:fs'
import { CloudError } from '../../../common/errors.ts'

export async function exists(path: Buffer): Promise<boolean> {
  return (await lstatOrNull(path)) !== null
}

/** Null = surely absent. */
export async function lstatOrNull(path: Buffer): Promise<fs.BigIntStats | null> {
  try {
    return await fs.promises.lstat(path, { bigint: true })
  } catch (caught) {
    const error = CloudError.from(caught)
    if (error.kind === 'not-found' || error.kind === 'not-a-folder') return null
    throw error
  }
}
