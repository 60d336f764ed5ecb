import type { AccountSource } from '../mounts/mount-plan.ts'
import type { Providers } from '../providers/providers.ts'
import type { Audit } from '../users/audit.ts'

/**
 * Accounts for mounts, with a line in the audit log for every time that secrets go to a worker. If that cannot be written the mount
 * goes on: what runs is not ended by a full disk, and the log tells.
 */
export function auditedAccounts(providers: Pick<Providers, 'account' | 'get'>, audit: Pick<Audit, 'write'>): AccountSource {
  return {
    account: async (id, mountId) => {
      const account = await providers.account(id)
      const names = Object.keys(account.secrets).sort()
      if (names.length === 0) return account
      const fact = { principal: 'service', origin: 'service', action: 'secrets-to-worker', class: 'secret', result: 'ok' }
      await audit.write({ ...fact, mountId, providerId: id, target: names.join(' '), correlationId: '' }).catch(() => {})
      return account
    },
    bareAccount: async (id) => (await providers.get(id)).record,
  }
}
