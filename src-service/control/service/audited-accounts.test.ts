import { expect, it } from 'vitest'
import { CloudError } from '../../common/errors.ts'
import { Secret } from '../../common/secret.ts'
import type { Provider } from '../providers/providers.ts'
import type { AuditFact } from '../users/audit.ts'
import { auditedAccounts } from './audited-accounts.ts'

const get = (): Promise<Provider> => Promise.reject(new CloudError('not-found', 'x'))

it('secrets that go to a worker are recorded, with their names alone; a mount goes on if that cannot be done', async () => {
  const facts: AuditFact[] = []
  let broken = false
  const write = (fact: AuditFact) => {
    facts.push(fact)
    return broken ? Promise.reject(new CloudError('unavailable', 'full')) : Promise.resolve()
  }
  const secrets: Record<string, Secret> = { token: new Secret('hidden'), password: new Secret('hidden') }
  const account = (id: string) => Promise.resolve({ type: 's3', options: {}, secrets: id === 'bare' ? {} : secrets })
  const accounts = auditedAccounts({ account, get }, { write })
  expect((await accounts.account('p', 'm')).secrets).toBe(secrets)
  expect(facts).toMatchObject([{ principal: 'service', class: 'secret', mountId: 'm', providerId: 'p', target: 'password token' }])
  expect(JSON.stringify(facts)).not.toContain('hidden')
  await accounts.account('bare', 'm')
  expect(facts).toHaveLength(1)
  broken = true
  expect((await accounts.account('p', 'm')).secrets).toBe(secrets)
})
