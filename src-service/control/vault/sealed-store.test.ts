import { chmod, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../common/clock.ts'
import { Secret } from '../../common/secret.ts'
import { createSealedStore } from './sealed-store.ts'
import type { SealedRow, SealedRows } from './sealed-store.ts'
import type { SecretStore } from './secret-store.ts'

let folder: string
let keyFile: string
let table: Map<string, SealedRow>
let secrets: SecretStore

function rowsOf(map: Map<string, SealedRow>): SealedRows {
  return {
    insert: async (row) => void map.set(row.id, row),
    get: async (id) => map.get(id) ?? Promise.reject(new Error('absent')),
    remove: async (ids) => ids.forEach((id) => map.delete(id)),
    list: async () => [...map.values()],
  }
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vault-'))
  keyFile = join(folder, 'secrets.key')
  table = new Map()
  secrets = createSealedStore(rowsOf(table), keyFile, systemClock)
})
afterEach(() => rm(folder, { recursive: true }))

it('gives back what it was given, also after a restart', async () => {
  const reference = await secrets.put('p1', 'password', new Secret('hunter2 é'))
  const again = createSealedStore(rowsOf(table), keyFile, systemClock)
  expect((await again.get(reference)).reveal()).toBe('hunter2 é')
  expect(await again.list()).toEqual([{ id: reference, owner: 'p1', name: 'password', createdAt: expect.any(Number) }])
  await again.remove([reference])
  expect(await again.list()).toEqual([])
})

it('gives each value a reference of its own and never seals the same bytes twice', async () => {
  const first = await secrets.put('p1', 'password', new Secret('same'))
  const second = await secrets.put('p1', 'password', new Secret('same'))
  expect(first).not.toBe(second)
  expect(table.get(first)?.sealed).not.toEqual(table.get(second)?.sealed)
  expect(table.get(second)?.version).toBe(2)
})

it('opens nothing that was changed, at any byte', async () => {
  const reference = await secrets.put('p1', 'password', new Secret('abc'))
  const row = table.get(reference)
  if (row === undefined) throw new Error('no row')
  for (let position = 0; position < row.sealed.length; position++) {
    const sealed = Uint8Array.from(row.sealed)
    sealed[position] = (sealed[position] ?? 0) ^ 1
    table.set(reference, { ...row, sealed })
    await expect(secrets.get(reference), `byte ${position}`).rejects.toMatchObject({ kind: 'damaged' })
  }
  for (const length of [0, 1, 28, row.sealed.length - 1]) {
    table.set(reference, { ...row, sealed: row.sealed.subarray(0, length) })
    await expect(secrets.get(reference)).rejects.toMatchObject({ kind: 'damaged' })
  }
  table.set(reference, row)
  expect((await secrets.get(reference)).reveal()).toBe('abc')
})

it.each([
  ['owner', 'p2'],
  ['name', 'token'],
  ['version', 2],
  ['id', 'other'],
])('opens nothing under another %s', async (field, value) => {
  const reference = await secrets.put('p1', 'password', new Secret('abc'))
  const row = table.get(reference)
  if (row === undefined) throw new Error('no row')
  table.set(reference, { ...row, [field]: value })
  await expect(secrets.get(reference)).rejects.toMatchObject({ kind: 'damaged' })
})

describe('the key file', () => {
  it('is made with the first secret, for this user alone', async () => {
    await expect(stat(keyFile)).rejects.toThrow(/ENOENT/)
    await secrets.put('p1', 'password', new Secret('abc'))
    const found = await stat(keyFile)
    expect([found.mode & 0o777, found.size]).toEqual([0o600, 32])
    expect(Buffer.from([...table.values()][0]?.sealed ?? []).includes(await readFile(keyFile))).toBe(false)
  })

  it('is not made anew over secrets that need the old one', async () => {
    await secrets.put('p1', 'password', new Secret('abc'))
    await rm(keyFile)
    const restarted = createSealedStore(rowsOf(table), keyFile, systemClock)
    await expect(restarted.put('p1', 'password', new Secret('x'))).rejects.toMatchObject({
      kind: 'damaged',
      message: expect.stringContaining('gone'),
    })
    await expect(stat(keyFile)).rejects.toThrow(/ENOENT/)
  })

  it('is refused while others can read it, and taken once they cannot', async () => {
    const reference = await secrets.put('p1', 'password', new Secret('abc'))
    await chmod(keyFile, 0o644)
    const restarted = createSealedStore(rowsOf(table), keyFile, systemClock)
    await expect(restarted.get(reference)).rejects.toMatchObject({ kind: 'access' })
    await chmod(keyFile, 0o600)
    expect((await restarted.get(reference)).reveal()).toBe('abc')
  })

  it('is refused when it is cut or another', async () => {
    const reference = await secrets.put('p1', 'password', new Secret('abc'))
    await truncate(keyFile, 31)
    await expect(createSealedStore(rowsOf(table), keyFile, systemClock).get(reference)).rejects.toMatchObject({ kind: 'damaged' })
    await writeFile(keyFile, Buffer.alloc(32))
    await expect(createSealedStore(rowsOf(table), keyFile, systemClock).get(reference)).rejects.toMatchObject({ kind: 'damaged' })
  })
})

it('does not print', () => {
  const secret = new Secret('hunter2')
  expect(
    [String(secret), JSON.stringify({ secret }), inspect({ a: [secret] }), inspect(secret, { showHidden: true })].join(),
  ).not.toContain('hunter2')
})
