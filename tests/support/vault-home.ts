import type Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src-service/common/clock.ts'
import { CloudError } from '../../src-service/common/errors.ts'
import type { LogFields } from '../../src-service/common/telemetry/log.ts'
import { migrations } from '../../src-service/control/store/migrations.ts'
import { openDatabase } from '../../src-service/control/store/open-database.ts'
import { createOperations } from '../../src-service/control/store/operations.ts'
import type { VaultTable } from '../../src-service/control/store/store.ts'
import { createVault } from '../../src-service/control/vault/create-vault.ts'
import type { ServiceVault, VaultParts } from '../../src-service/control/vault/create-vault.ts'
import type { Keychain } from '../../src-service/control/vault/keychain.ts'

/** A home with the service's database, whose rows a test may change behind the vault's back. */
export interface TestHome {
  readonly folder: string
  readonly keyFile: string
  readonly database: Database.Database
  readonly table: VaultTable
  readonly log: { readonly level: string; readonly message: string; readonly fields: LogFields | undefined }[]
  /** A vault as after a start of the service. */
  start(parts?: Partial<VaultParts>): Promise<ServiceVault>
  remove(): Promise<void>
}

/** Fast enough for tests; RFC 9106 has its own. */
export const cheap = { memoryKiB: 64, passes: 1, lanes: 1 }

export const noKeychain: Keychain = {
  isLikely: () => Promise.resolve(false),
  get: () => Promise.reject(new CloudError('unavailable', 'no keychain here', { code: 'NO_KEYCHAIN' })),
  set: () => Promise.reject(new CloudError('unavailable', 'no keychain here', { code: 'NO_KEYCHAIN' })),
  remove: () => Promise.reject(new CloudError('unavailable', 'no keychain here', { code: 'NO_KEYCHAIN' })),
}

/** A keychain in memory. */
export function memoryKeychain(items: Map<string, string>): Keychain {
  return {
    isLikely: () => Promise.resolve(true),
    get: (account) => Promise.resolve(items.get(account) ?? null),
    set: async (account, value) => void items.set(account, value),
    remove: async (account) => void items.delete(account),
  }
}

/** @param at an existing home; default a new one */
export async function openTestHome(at?: string): Promise<TestHome> {
  const folder = at ?? (await mkdtemp(join(tmpdir(), 'vault-')))
  await mkdir(join(folder, 'backups'), { recursive: true })
  const database = openDatabase(join(folder, 'service.db'), join(folder, 'backups'), migrations, Date.now())
  const { vault } = createOperations(drizzle({ client: database }), systemClock)
  const table: VaultTable = {
    read: async () => vault.read(),
    commit: async (change) => vault.commit(change),
    secret: async (id) => vault.secret(id),
    secrets: async () => vault.secrets(),
  }
  const keyFile = join(folder, 'secrets.key')
  const log: TestHome['log'] = []
  return {
    ...{ folder, keyFile, database, table, log },
    start: async (parts = {}) => {
      const opened = createVault({
        ...{ table, clock: systemClock, kind: 'user', cost: cheap, machine: { keyFile, keychain: noKeychain, credentials: undefined } },
        log: (level, message, fields) => void log.push({ level, message, fields }),
        ...parts,
      })
      await opened.begin()
      return opened
    },
    remove: async () => {
      database.close()
      await rm(folder, { recursive: true })
    },
  }
}
