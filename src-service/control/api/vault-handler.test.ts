import { randomBytes } from 'node:crypto'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { connectService } from '../../../proto/client/connect.ts'
import type { ServiceConnection } from '../../../proto/client/connect.ts'
import { readError } from '../../../proto/client/read-error.ts'
import { DiagnosisResult } from '../../../proto/gen/cloudmoor/v1/system_pb.js'
import { VaultSlotKind, VaultState } from '../../../proto/gen/cloudmoor/v1/vault_pb.js'
import { startTestService } from '../../../tests/support/test-service.ts'
import type { TestService } from '../../../tests/support/test-service.ts'

let service: TestService
let client: ServiceConnection
beforeEach(async () => {
  service = await startTestService()
  client = connectService(service.places.socket, { timeoutMs: 10_000 })
})
afterEach(() => service.stop())

const passphrase = 'correct horse battery'

async function reasonOf(call: Promise<unknown>): Promise<string> {
  try {
    await call
  } catch (caught) {
    return readError(caught).reason
  }
  throw new Error('the call succeeded')
}

async function account(name: string): Promise<string> {
  const provider = { name, type: 's3', options: { accessKeyId: 'AK', endpoint: 'http://127.0.0.1:1' } }
  return (await client.providers.createProvider({ provider, secrets: { secretAccessKey: 'hunter2' } })).provider?.id ?? ''
}

it('leads the vault through its life', async () => {
  expect((await client.vault.getVault({})).vault).toMatchObject({ state: VaultState.NONE, slots: [] })
  expect(await reasonOf(client.vault.lockVault({}))).toBe('NOT_FOUND')
  await account('one')
  const { vault } = await client.vault.getVault({})
  expect(vault).toMatchObject({
    state: VaultState.UNLOCKED,
    secrets: 1,
    slots: [{ kind: VaultSlotKind.KEY_FILE }],
    openedBy: vault?.slots[0]?.id,
  })
  expect(await reasonOf(client.vault.addSlot({ kind: VaultSlotKind.PASSPHRASE, passphrase: 'short' }))).toBe('INVALID')
  expect(await reasonOf(client.vault.addSlot({ kind: VaultSlotKind.RECOVERY_KEY }))).toBe('INVALID')
  expect(await reasonOf(client.vault.addSlot({ kind: VaultSlotKind.KEYCHAIN }))).toBe('NO_KEYCHAIN')
  const { slot } = await client.vault.addSlot({ kind: VaultSlotKind.PASSPHRASE, passphrase })
  await client.vault.removeSlot({ slotId: vault?.openedBy ?? '' })
  expect(await reasonOf(client.vault.removeSlot({ slotId: slot?.id ?? '' }))).toBe('LAST_SLOT')
  const { recoveryKey } = await client.vault.createRecoveryKey({})
  await client.vault.rotateVault({})
  expect(await client.vault.testVault({})).toMatchObject({ secrets: 1, problems: [] })

  await client.vault.lockVault({})
  expect((await client.vault.getVault({})).vault).toMatchObject({ state: VaultState.LOCKED, openedBy: '' })
  expect((await client.system.diagnose({})).diagnoses).toContainEqual(
    expect.objectContaining({ name: 'vault', result: DiagnosisResult.WARNING, hint: 'cloudmoor config vault unlock' }),
  )
  expect(await reasonOf(client.vault.unlockVault({}))).toBe('VAULT_KEY')
  expect(await reasonOf(client.vault.unlockVault({ by: { case: 'passphrase', value: 'incorrect horse' } }))).toBe('VAULT_KEY')
  expect(await reasonOf(client.vault.unlockVault({ by: { case: 'recoveryKey', value: 'x' } }))).toBe('INVALID')
  const opened = await client.vault.unlockVault({ by: { case: 'recoveryKey', value: recoveryKey } })
  expect(opened.slot?.kind).toBe(VaultSlotKind.RECOVERY_KEY)
  await client.vault.unlockVault({ by: { case: 'passphrase', value: passphrase } })
})

it('refuses to use and to change secrets while it is locked, and keeps what running mounts need', async () => {
  const [running, other] = [await account('running'), await account('other')]
  await client.mounts.createMount({ mount: { name: 'm', providerId: running, path: '/m' } })
  await client.mounts.createMount({ mount: { name: 'n', providerId: other, path: '/n' } })
  await client.mounts.startMount({ id: 'id-m' })
  await client.vault.lockVault({})
  const secrets = { secretAccessKey: 'other' }
  for (const id of [running, other]) {
    expect(await reasonOf(client.providers.testProvider({ id }))).toBe('VAULT_LOCKED')
    expect(await reasonOf(client.providers.updateProvider({ provider: { id }, secrets }))).toBe('VAULT_LOCKED')
  }
  expect(await reasonOf(account('third'))).toBe('VAULT_LOCKED')
  await client.mounts.removeMount({ id: 'id-n' })
  expect(await reasonOf(client.providers.removeProvider({ id: other }))).toBe('VAULT_LOCKED')
  expect((await client.providers.listProviders({})).providers.map((provider) => provider.name)).toEqual(['other', 'running'])
  // What no secret is needed for goes on.
  await client.providers.updateProvider({ provider: { id: other, name: 'renamed' }, updateMask: { paths: ['name'] } })
  const [kept] = (await service.vault.secrets.list()).filter((secret) => secret.owner === running)
  expect((await service.vault.serving.get(kept?.id ?? '')).reveal()).toBe('hunter2')
  await client.vault.unlockVault({})
  await client.providers.removeProvider({ id: other })
})

it('keeps secrets by name, and never tells them', async () => {
  const id = await account('one')
  const first = await client.vault.putSecret({ name: 'webhook', value: 'hunter3' })
  const second = await client.vault.putSecret({ name: 'webhook', value: 'hunter4' })
  expect([first.secret?.version, second.secret?.version]).toEqual([1, 2])
  const page = await client.vault.listSecrets({ pageSize: 1 })
  expect(page.secrets).toEqual([second.secret])
  const rest = await client.vault.listSecrets({ pageSize: 1, pageToken: page.nextPageToken })
  expect(rest.secrets).toMatchObject([{ owner: id, name: 'secretAccessKey' }])
  expect((await service.vault.secrets.get(second.secret?.id ?? '')).reveal()).toBe('hunter4')
  expect(await reasonOf(client.vault.deleteSecret({ name: 'secretAccessKey' }))).toBe('NOT_FOUND')
  await client.vault.deleteSecret({ name: 'webhook' })
  expect(await reasonOf(client.vault.deleteSecret({ name: 'webhook' }))).toBe('NOT_FOUND')
  for (const wrong of [
    { name: 'a b', value: 'x' },
    { name: 'a', value: '' },
  ])
    expect(await reasonOf(client.vault.putSecret(wrong))).toBe('INVALID')
})

it('leaves no trace of a key or a secret', async () => {
  const canary = () => randomBytes(12).toString('hex')
  const [value, first, second, wrong] = [canary(), canary(), canary(), canary()]
  await client.vault.putSecret({ name: 'a', value })
  await client.vault.addSlot({ kind: VaultSlotKind.PASSPHRASE, passphrase: first })
  const { vault } = await client.vault.getVault({})
  const own = vault?.slots.find((slot) => slot.kind === VaultSlotKind.PASSPHRASE)?.id ?? ''
  await client.vault.addSlot({ kind: VaultSlotKind.PASSPHRASE, passphrase: second, replaceSlotId: own })
  const { recoveryKey } = await client.vault.createRecoveryKey({})
  await client.vault.lockVault({})
  const errors: unknown[] = []
  for (const by of [{ case: 'passphrase', value: wrong } as const, { case: 'recoveryKey', value: wrong } as const]) {
    errors.push(await client.vault.unlockVault({ by }).catch((caught: unknown) => String(caught)))
  }
  await client.vault.unlockVault({ by: { case: 'passphrase', value: second } })
  errors.push(await client.vault.putSecret({ name: `${value} `, value }).catch((caught: unknown) => String(caught)))
  const keyFile = await readFile(service.places.keyFile)
  const secrets = [value, first, second, wrong, recoveryKey, recoveryKey.replaceAll('-', ''), keyFile.toString('base64url')]
  const found: string[] = []
  const look = (place: string, bytes: Buffer) => {
    for (const secret of secrets) if (bytes.includes(secret) || bytes.includes(Buffer.from(secret).toString('hex'))) found.push(place)
    if (place !== service.places.keyFile && bytes.includes(keyFile)) found.push(place)
  }
  look('errors', Buffer.from(JSON.stringify(errors)))
  for (const entry of await readdir(service.places.state, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isFile()) look(path, await readFile(path))
  }
  expect(found).toEqual([])
  await rm(service.places.keyFile)
})
