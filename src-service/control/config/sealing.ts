import { CloudError } from '../../common/errors.ts'
import { Secret } from '../../common/secret.ts'
import { checkPassphrase, leastCost, newPassphraseParams, passphraseKey } from '../vault/passphrase.ts'
import { open, seal } from '../vault/sealed-box.ts'
import type { Sealing } from './document.ts'

/** Seals and opens the secrets of one configuration file; each opens only under its provider and option. */
export interface Sealer {
  readonly sealing: Sealing
  seal(provider: string, option: string, value: Secret): string
  /** Throws `sign-in` if the passphrase is another one or the text was changed. */
  open(provider: string, option: string, sealed: string): Secret
}

/** Throws `invalid` for a passphrase that is too short. */
export async function newSealer(passphrase: Secret): Promise<Sealer> {
  checkPassphrase(passphrase)
  return sealerOf(passphrase, newPassphraseParams(leastCost))
}

/** Throws `invalid` if the file asks for more memory or time than is reasonable. */
export async function sealerOf(passphrase: Secret, sealing: Sealing): Promise<Sealer> {
  const key = await passphraseKey(passphrase, sealing).catch((caught: unknown) => {
    throw new CloudError('invalid', 'the key "sealing" is not as config export writes it', { cause: caught })
  })
  const context = (provider: string, option: string) => ['cloudmoor config', 1, provider, option]
  return {
    sealing,
    seal: (provider, option, value) => seal(key, context(provider, option), Buffer.from(value.reveal(), 'utf8')).toString('base64'),
    open: (provider, option, sealed) => {
      try {
        return new Secret(open(key, context(provider, option), Buffer.from(sealed, 'base64')).toString('utf8'))
      } catch (caught) {
        throw new CloudError(
          'sign-in',
          `the secret ${option} of '${provider}' does not open: the passphrase is another one, or the file was changed`,
          {
            cause: caught,
          },
        )
      }
    },
  }
}
