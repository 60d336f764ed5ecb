import type { ServiceImpl } from '@connectrpc/connect'
import type { ConfigService } from '../../../proto/gen/cloudmoor/v1/config_pb.js'
import { Secret } from '../../common/secret.ts'
import type { Configuration } from '../config/configuration.ts'

/** ConfigService in terms of `Configuration`. */
export function configHandler(configuration: Configuration): ServiceImpl<typeof ConfigService> {
  return {
    exportConfig: async ({ passphrase }) => ({ text: await configuration.write(readPassphrase(passphrase)) }),

    importConfig: async ({ text, dryRun, prune, passphrase }, { signal }) => {
      const wish = { dryRun, prune, passphrase: readPassphrase(passphrase), manager: 'api' } as const
      const { changes, warnings } = await configuration.read([{ name: '', text }], wish, signal)
      return {
        changes: changes.map(({ action, noun, name, fields }) => ({
          action,
          kind: noun,
          name,
          fields: fields.map((field) => ({ ...field })),
        })),
        warnings: [...warnings],
      }
    },
  }
}

function readPassphrase(given: string): Secret | null {
  return given === '' ? null : new Secret(given)
}
