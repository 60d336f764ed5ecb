import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { CloudError } from '../../common/errors.ts'

/** Name of the vault's credential in a systemd unit: `LoadCredentialEncrypted=cloudmoor.vault-key:FILE`. */
export const credentialName = 'cloudmoor.vault-key'

const leastBytes = 32
const mostBytes = 4096

/**
 * What systemd gave this service as the vault's key. Rejects with `not-found` if there is none, `invalid` if it is too short
 * to be a key.
 * @param folder $CREDENTIALS_DIRECTORY
 */
export async function readCredential(folder: string | undefined): Promise<Buffer> {
  if (folder === undefined || folder === '') throw new CloudError('not-found', 'systemd gave this service no credentials')
  const bytes = await readBytes(join(folder, credentialName))
  if (bytes.length >= leastBytes && bytes.length <= mostBytes) return bytes
  throw new CloudError('invalid', `the credential ${credentialName} has ${bytes.length} bytes; a key has ${leastBytes} to ${mostBytes}`)
}

async function readBytes(path: string): Promise<Buffer> {
  try {
    const file = await open(path, 'r')
    try {
      const bytes = Buffer.allocUnsafeSlow(mostBytes + 1)
      const { bytesRead } = await file.read(bytes, 0, bytes.length, 0)
      return bytes.subarray(0, bytesRead)
    } finally {
      await file.close()
    }
  } catch (caught) {
    throw CloudError.from(caught)
  }
}
