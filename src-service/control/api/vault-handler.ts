import type { MessageInitShape } from '@bufbuild/protobuf'
import type { ServiceImpl } from '@connectrpc/connect'
import { VaultSlotKind, VaultState } from '../../../proto/gen/cloudmoor/v1/vault_pb.js'
import type { SecretInfoSchema, VaultSlotSchema, UnlockVaultRequest, VaultService } from '../../../proto/gen/cloudmoor/v1/vault_pb.js'
import { CloudError } from '../../common/errors.ts'
import { Secret } from '../../common/secret.ts'
import type { MountManager } from '../mounts/mount-manager-contract.ts'
import { deleteNamed, isNamed, putNamed } from '../vault/named-secrets.ts'
import type { StoredSecret } from '../vault/secret-store.ts'
import type { SlotSpec, SlotView, UnlockBy, Vault, VaultStatus } from '../vault/vault.ts'
import { pageOf } from './page.ts'
import { writeTime } from './wire-values.ts'

/** VaultService in terms of `Vault`. */
export function vaultHandler(vault: Vault, mounts: Pick<MountManager, 'list'>): ServiceImpl<typeof VaultService> {
  return {
    getVault: async () => ({ vault: writeVault(await vault.status()) }),
    testVault: async () => {
      const { secrets, problems } = await vault.test()
      return { secrets, problems: [...problems] }
    },
    unlockVault: async (request) => ({ slot: writeSlot(await vault.unlock(readKey(request.by))) }),
    lockVault: async (_request, { signal }) => {
      const running = (await mounts.list(signal)).filter(({ status }) => status.state !== 'unmounted' && status.state !== 'failed')
      await vault.lock([...new Set(running.map(({ record }) => record.providerId))])
      return {}
    },
    rotateVault: async () => {
      await vault.rotate()
      return {}
    },
    addSlot: async ({ kind, passphrase, replaceSlotId }) => ({
      slot: writeSlot(await vault.addSlot(readSpec(kind, new Secret(passphrase)), replaceSlotId === '' ? null : replaceSlotId)),
    }),
    removeSlot: async ({ slotId }) => {
      await vault.removeSlot(slotId)
      return {}
    },
    createRecoveryKey: async () => ({ recoveryKey: (await vault.makeRecoveryKey()).reveal() }),
    putSecret: async ({ name, value }) => ({ secret: writeSecret(await putNamed(vault.secrets, name, new Secret(value))) }),
    listSecrets: async (request) => {
      const secrets = (await vault.secrets.list())
        .map((secret) => ({ secret, key: sortKey(secret) }))
        .sort((a, b) => (a.key < b.key ? -1 : 1))
      const { entries, nextPageToken } = pageOf(secrets, ({ key }) => key, { ...request, name: '' })
      return { secrets: entries.map(({ secret }) => writeSecret(secret)), nextPageToken }
    },
    deleteSecret: async ({ name }) => {
      await deleteNamed(vault.secrets, name)
      return {}
    },
  }
}

function readKey(by: UnlockVaultRequest['by']): UnlockBy {
  switch (by.case) {
    case undefined:
      return { kind: 'machine' }
    case 'passphrase':
      return { kind: 'passphrase', passphrase: new Secret(by.value) }
    case 'recoveryKey':
      return { kind: 'recovery-key', recoveryKey: new Secret(by.value) }
  }
}

function readSpec(kind: VaultSlotKind, passphrase: Secret): SlotSpec {
  switch (kind) {
    case VaultSlotKind.PASSPHRASE:
      return { kind: 'passphrase', passphrase }
    case VaultSlotKind.KEYCHAIN:
      return { kind: 'keychain' }
    case VaultSlotKind.CREDENTIAL:
      return { kind: 'credential' }
    case VaultSlotKind.KEY_FILE:
      return { kind: 'key-file' }
    default:
      throw new CloudError('invalid', 'kind must be one of keychain, passphrase, credential, key_file')
  }
}

const wireKinds: Readonly<Record<SlotView['kind'], VaultSlotKind>> = {
  keychain: VaultSlotKind.KEYCHAIN,
  passphrase: VaultSlotKind.PASSPHRASE,
  credential: VaultSlotKind.CREDENTIAL,
  'key-file': VaultSlotKind.KEY_FILE,
  'recovery-key': VaultSlotKind.RECOVERY_KEY,
  unknown: VaultSlotKind.UNSPECIFIED,
}

function writeSlot({ id, kind, detail, createdAt }: SlotView): MessageInitShape<typeof VaultSlotSchema> {
  return { id, kind: wireKinds[kind], detail, createTime: writeTime(createdAt) }
}

function writeVault({ state, slots, secrets, createdAt, rotatedAt, openedBy }: VaultStatus) {
  const states = { none: VaultState.NONE, locked: VaultState.LOCKED, unlocked: VaultState.UNLOCKED }
  return {
    state: states[state],
    slots: slots.map(writeSlot),
    secrets,
    openedBy: openedBy ?? '',
    ...(createdAt === null ? {} : { createTime: writeTime(createdAt) }),
    ...(rotatedAt === null ? {} : { rotateTime: writeTime(rotatedAt) }),
  }
}

function writeSecret(secret: StoredSecret): MessageInitShape<typeof SecretInfoSchema> {
  const { id, name, version, createdAt } = secret
  return { id, owner: isNamed(secret) ? '' : secret.owner, name, version, createTime: writeTime(createdAt) }
}

function sortKey(secret: StoredSecret): string {
  return [isNamed(secret) ? '' : secret.owner, secret.name, String(secret.version).padStart(10, '0')].join('\0')
}
