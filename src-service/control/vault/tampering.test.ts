import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CloudError } from '../../common/errors.ts'
import { Secret } from '../../common/secret.ts'
import type { SecretRecord, SlotRecord, VaultRecord } from '../store/records.ts'
import type { VaultTable } from '../store/store.ts'
import type { ServiceVault } from './create-vault.ts'
import { open, seal } from './sealed-box.ts'
import { openSecret, sealSecret } from './secret-rows.ts'
import { openTestHome } from '../../../tests/support/vault-home.ts'
import type { TestHome } from '../../../tests/support/vault-home.ts'

/** Every text that a refusal had: in the end there must be one. */
const texts = new Set<string>()

async function refusal(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => null,
    (caught: unknown) => CloudError.from(caught),
  )
  if (error === null) return 'opened'
  texts.add(error.message)
  return error.kind
}

/** The row with one bit of one field turned, once for each byte; ints and texts count byte by byte as well. */
function* flips<Row extends object>(row: Row): Generator<[name: string, row: Row]> {
  for (const [field, value] of Object.entries(row) as [keyof Row & string, unknown][]) {
    if (typeof value === 'number')
      for (let bit = 0; bit < 48; bit += 8) yield [`${field} bit ${bit}`, { ...row, [field]: value + 2 ** bit }]
    const bytes = typeof value === 'string' ? Buffer.from(value, 'latin1') : value instanceof Uint8Array ? Buffer.from(value) : null
    for (let at = 0; at < (bytes?.length ?? 0); at++) {
      const turned = Buffer.from(bytes ?? [])
      turned[at] = (turned[at] ?? 0) ^ (1 << (at % 8))
      yield [`${field} byte ${at}`, { ...row, [field]: typeof value === 'string' ? turned.toString('latin1') : turned }]
    }
  }
}

it('a sealed value opens with its own bytes only', () => {
  const key = randomBytes(32)
  for (let number = 0; number < 10; number++) {
    const place = { id: `s${number}`, owner: 'p1', name: 'password', version: 1, createdAt: 5 }
    const row = sealSecret(key, 'v1', place, Buffer.from('x'.repeat(number)))
    expect(openSecret(key, 'v1', row).toString()).toBe('x'.repeat(number))
    for (const [what, turned] of flips(row)) expect(() => openSecret(key, 'v1', turned), what).toThrow(CloudError)
    expect(() => openSecret(key, 'v2', row)).toThrow(CloudError)
    expect(() => openSecret(randomBytes(32), 'v1', row)).toThrow(CloudError)
  }
})

it('a sealed value is bound to its key, and its tag is whole', () => {
  const [key, other] = [randomBytes(32), randomBytes(32)]
  const [sealed, foreign] = [seal(key, ['a'], Buffer.from('abc')), seal(other, ['a'], Buffer.from('abc'))]
  // What is right for GCM, but not what the key was fixed to.
  const crafted = Buffer.concat([sealed.subarray(0, 33), foreign.subarray(33, 65), sealed.subarray(65)])
  for (const tried of [key, other]) expect(() => open(tried, ['a'], crafted)).toThrow(CloudError)
  for (let cut = 1; cut <= sealed.length; cut++) expect(() => open(key, ['a'], sealed.subarray(0, -cut))).toThrow(CloudError)
  expect(() => open(key, ['a'], Buffer.concat([sealed, Buffer.alloc(1)]))).toThrow(CloudError)
  expect(() => open(key, ['a', ''], sealed)).toThrow(CloudError)
  const salts = new Set(Array.from({ length: 10_000 }, () => seal(key, [], Buffer.alloc(0)).subarray(1, 33).toString('hex')))
  expect(salts.size).toBe(10_000)
})

describe('a vault whose rows change behind its back', () => {
  let home: TestHome
  let vault: ServiceVault
  let table: VaultTable
  /** What the table shows in the place of the real rows. */
  let shown: { secret?: SecretRecord | null; vault?: VaultRecord; slots?: readonly SlotRecord[] }
  const passphrase = new Secret('correct horse battery')
  const byPassphrase = { kind: 'passphrase', passphrase } as const

  beforeEach(async () => {
    home = await openTestHome()
    shown = {}
    table = {
      ...home.table,
      secret: async (id) => (shown.secret === undefined ? home.table.secret(id) : shown.secret),
      read: async () => {
        const stored = await home.table.read()
        return stored === null ? null : { vault: shown.vault ?? stored.vault, slots: shown.slots ?? stored.slots }
      },
    }
    vault = await home.start({ table })
  })
  afterEach(() => home.remove())

  const put = (name: string, value: string) => vault.secrets.put('p1', name, new Secret(value))
  const rowOf = async (reference: string): Promise<SecretRecord> =>
    (await home.table.secret(reference)) ?? Promise.reject(new Error('no row'))
  const stored = async () => (await home.table.read()) ?? Promise.reject(new Error('no vault'))

  it('opens no secret that has one bit changed', async () => {
    let tried = 0
    for (let number = 0; number < 200; number++) {
      const reference = await put(`n${number}`, `secret ${number}`)
      const row = await rowOf(reference)
      for (const [what, turned] of flips(row)) {
        shown.secret = turned
        expect(await refusal(vault.secrets.get(reference)), `${number}: ${what}`).toBe('damaged')
        tried++
      }
      delete shown.secret
      expect((await vault.secrets.get(reference)).reveal()).toBe(`secret ${number}`)
    }
    expect(tried).toBeGreaterThan(40_000)
  })

  it('opens no secret in the place of another, taken away, put back or planted', async () => {
    const [one, two] = [await put('a', 'one'), await put('b', 'two')]
    const [first, second] = [await rowOf(one), await rowOf(two)]
    for (const fields of [['sealed'], ['dataKey'], ['sealed', 'dataKey'], ['owner', 'name'], ['id', 'sealed', 'dataKey']] as const) {
      shown.secret = { ...first, ...Object.fromEntries(fields.map((field) => [field, second[field]])) }
      expect(await refusal(vault.secrets.get(one)), fields.join()).toBe('damaged')
    }
    shown.secret = { ...second, id: one }
    expect(await refusal(vault.secrets.get(one))).toBe('damaged')
    shown.secret = null
    expect(await refusal(vault.secrets.get(one))).toBe('damaged')
    delete shown.secret
    await vault.secrets.remove([two])
    shown.secret = second
    expect(await refusal(vault.secrets.get(two))).toBe('damaged')
    delete shown.secret
    await vault.rotate()
    shown.secret = first
    expect(await refusal(vault.secrets.get(one))).toBe('damaged')
    expect((await vault.test()).problems).toMatchObject([{ what: 'secret', id: one, name: 'a' }])
    delete shown.secret
    expect((await vault.secrets.get(one)).reveal()).toBe('one')
  })

  it('shows what an older catalogue does not know, and what a newer one misses', async () => {
    const [one, two] = [await put('a', 'one'), await put('b', 'two')]
    const before = (await stored()).vault
    await vault.secrets.remove([two])
    const three = await put('c', 'three')
    shown.vault = before
    vault = await home.start({ table })
    expect((await vault.secrets.get(one)).reveal()).toBe('one')
    expect(await refusal(vault.secrets.get(two))).toBe('damaged')
    expect(await refusal(vault.secrets.get(three))).toBe('damaged')
    expect((await vault.test()).problems.map(({ id }) => id).sort()).toEqual([two, three].sort())
    expect(await refusal(put('d', 'four'))).toBe('conflict')
    texts.delete('the vault was changed by something else')
  })

  it('is not unlocked when one bit of it, or of the slot, is changed', async () => {
    const reference = await put('a', 'one')
    await vault.addSlot(byPassphrase, null)
    const recoveryKey = await vault.makeRecoveryKey()
    await vault.lock([])
    const { vault: head, slots } = await stored()
    const byRecoveryKey = { kind: 'recovery-key', recoveryKey } as const
    let tried = 0
    for (const by of [byPassphrase, byRecoveryKey]) {
      for (const [what, turned] of flips(head)) {
        shown.vault = turned
        expect(await refusal(vault.unlock(by)), `${by.kind}: ${what}`).toMatch(/^(damaged|access)$/)
        tried++
      }
      delete shown.vault
      const own = slots.find((slot) => slot.kind === by.kind)
      if (own === undefined) throw new Error('no slot')
      for (const [what, turned] of flips(own)) {
        shown.slots = slots.map((slot) => (slot === own ? turned : slot))
        expect(await refusal(vault.unlock(by)), `${by.kind}: ${what}`).toMatch(/^(damaged|access)$/)
        tried++
      }
      delete shown.slots
    }
    expect(tried).toBeGreaterThan(1000)
    expect((await vault.status()).state).toBe('locked')
    await vault.unlock(byPassphrase)
    expect((await vault.secrets.get(reference)).reveal()).toBe('one')
  })

  it('asks for no more memory and time than a slot may cost', async () => {
    await put('a', 'one')
    await vault.addSlot(byPassphrase, null)
    await vault.lock([])
    const { slots } = await stored()
    const greedy = [
      { memoryKiB: 64 * 1024 * 1024 },
      { passes: 1_000_000 },
      { lanes: 255, memoryKiB: 1024 * 1024 },
      { memoryKiB: 1 },
      { memoryKiB: -1 },
      { passes: 1.5 },
      { passes: '3' },
      { salt: '' },
      { salt: 7 },
    ]
    const started = performance.now()
    for (const wish of greedy) {
      const spoil = (slot: SlotRecord) => ({ ...slot, params: JSON.stringify({ ...(JSON.parse(slot.params) as object), ...wish }) })
      shown.slots = slots.map((slot) => (slot.kind === 'passphrase' ? spoil(slot) : slot))
      expect(await refusal(vault.unlock(byPassphrase)), JSON.stringify(wish)).toBe('damaged')
    }
    for (const params of ['', 'null', '[]', '7', '{"salt":', '{}']) {
      shown.slots = slots.map((slot) => ({ ...slot, params }))
      expect(await refusal(vault.unlock(byPassphrase)), params).toBe('damaged')
    }
    expect(performance.now() - started).toBeLessThan(5000)
  })

  it('does not follow a key file’s name out of its folder', async () => {
    await put('a', 'one')
    await vault.lock([])
    const { slots } = await stored()
    for (const file of ['../x.key', '/etc/passwd', 'a/b.key', '.key', 'x']) {
      shown.slots = slots.map((slot) => ({ ...slot, params: JSON.stringify({ file }) }))
      await expect(vault.unlock({ kind: 'machine' })).rejects.toMatchObject({ code: 'VAULT_KEY' })
    }
  })
})

it('there was one text for all of it', () => {
  expect([...texts]).toHaveLength(1)
})
