import { createCipheriv, randomBytes } from 'node:crypto'
import { chmod, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Secret } from '../../common/secret.ts'
import { frame } from './canonical.ts'
import { credentialName } from './credential.ts'
import type { ServiceVault } from './create-vault.ts'
import { memoryKeychain, noKeychain, openTestHome } from '../../../tests/support/vault-home.ts'
import type { TestHome } from '../../../tests/support/vault-home.ts'

let home: TestHome
let vault: ServiceVault
beforeEach(async () => {
  home = await openTestHome()
  vault = await home.start()
})
afterEach(() => home.remove())

const passphrase = new Secret('correct horse battery')
const opens = { kind: 'passphrase', passphrase } as const
const wrong = { kind: 'passphrase', passphrase: new Secret('incorrect horse battery') } as const
const put = (value: string) => vault.secrets.put('p1', 'password', new Secret(value))
const get = async (reference: string) => (await vault.secrets.get(reference)).reveal()
const keyFiles = async () => (await readdir(home.folder)).filter((name) => name.endsWith('.key'))
const kinds = async () => (await vault.status()).slots.map((slot) => slot.kind).sort()
const slotOf = async (kind: string) => (await vault.status()).slots.find((slot) => slot.kind === kind)?.id ?? ''

/** A vault that only the passphrase opens, with a secret in it. */
async function onlyByPassphrase(): Promise<string> {
  const reference = await put('abc')
  await vault.addSlot({ kind: 'passphrase', passphrase }, await slotOf('key-file'))
  return reference
}

describe('secrets', () => {
  it('come back as they were given, also after a restart', async () => {
    const reference = await put('hunter2 é \0 \n')
    vault = await home.start()
    expect(await get(reference)).toBe('hunter2 é \0 \n')
    expect(await vault.secrets.list()).toEqual([
      { id: reference, owner: 'p1', name: 'password', version: 1, createdAt: expect.any(Number) },
    ])
    await vault.secrets.remove([reference, 'absent'])
    expect(await vault.secrets.list()).toEqual([])
    await expect(get(reference)).rejects.toMatchObject({ kind: 'not-found' })
  })

  it('have references of their own, and are never sealed to the same bytes', async () => {
    const references = [await put('same'), await put('same')]
    const rows = await Promise.all(references.map((reference) => home.table.secret(reference)))
    expect(new Set(references).size).toBe(2)
    expect(rows[0]?.sealed).not.toEqual(rows[1]?.sealed)
    expect(rows.map((row) => row?.version)).toEqual([1, 2])
  })

  it('may be stored by many at once', async () => {
    const references = await Promise.all(
      Array.from({ length: 20 }, (_, number) => vault.secrets.put('p1', `n${number}`, new Secret(`v${number}`))),
    )
    vault = await home.start()
    expect(await Promise.all(references.map(get))).toEqual(references.map((_, number) => `v${number}`))
  })

  it('are refused when one is too long', async () => {
    await expect(put('x'.repeat(256 * 1024))).rejects.toMatchObject({ kind: 'too-large' })
    expect(await vault.secrets.list()).toEqual([])
  })
})

describe('the first slot', () => {
  it('is a key file of this user alone, made with the first secret', async () => {
    expect(await vault.status()).toMatchObject({ state: 'none', slots: [] })
    await put('abc')
    const found = await stat(home.keyFile)
    expect([found.mode & 0o777, found.size]).toEqual([0o600, 32])
    expect(await vault.status()).toMatchObject({ state: 'unlocked', slots: [{ kind: 'key-file', detail: home.keyFile }] })
    const key = await readFile(home.keyFile)
    for (const name of await readdir(home.folder)) {
      if (name.startsWith('service.db')) expect((await readFile(join(home.folder, name))).includes(key)).toBe(false)
    }
  })

  it.each([
    ['is gone', () => rm(home.keyFile)],
    ['can be read by others', () => chmod(home.keyFile, 0o644)],
    ['is cut', () => truncate(home.keyFile, 31)],
    ['is another', () => writeFile(home.keyFile, Buffer.alloc(32))],
  ])('leaves the vault locked when it %s, and opens it when it is back', async (_, spoil) => {
    const reference = await put('abc')
    const key = await readFile(home.keyFile)
    await spoil()
    vault = await home.start()
    expect(home.log.filter(({ level }) => level === 'warn')).toHaveLength(1)
    await expect(put('x')).rejects.toMatchObject({ code: 'VAULT_LOCKED' })
    await expect(vault.unlock({ kind: 'machine' })).rejects.toMatchObject({ code: 'VAULT_KEY' })
    await writeFile(home.keyFile, key)
    await chmod(home.keyFile, 0o600)
    expect(await vault.unlock({ kind: 'machine' })).toMatchObject({ kind: 'key-file' })
    expect(await get(reference)).toBe('abc')
  })

  it('is the credential of a systemd unit that has one', async () => {
    const credentials = join(home.folder, 'credentials')
    await mkdir(credentials)
    await writeFile(join(credentials, credentialName), randomBytes(32))
    const machine = { keyFile: home.keyFile, keychain: noKeychain, credentials }
    vault = await home.start({ kind: 'system', machine })
    const reference = await put('abc')
    expect([await kinds(), await keyFiles()]).toEqual([['credential'], []])
    vault = await home.start({ kind: 'system', machine })
    expect(await get(reference)).toBe('abc')
    await writeFile(join(credentials, credentialName), randomBytes(32))
    vault = await home.start({ kind: 'system', machine })
    expect(await vault.status()).toMatchObject({ state: 'locked' })
  })

  it('is the keychain on a desktop; if that does not answer, a key file', async () => {
    const items = new Map<string, string>()
    const machine = { keyFile: home.keyFile, keychain: memoryKeychain(items), credentials: undefined }
    vault = await home.start({ machine })
    const reference = await put('abc')
    expect([await kinds(), items.size, await keyFiles()]).toEqual([['keychain'], 1, []])
    vault = await home.start({ machine })
    await vi.waitFor(async () => expect(await get(reference)).toBe('abc'))
    await home.remove()
    home = await openTestHome()
    vault = await home.start({
      machine: { ...machine, keyFile: home.keyFile, keychain: { ...noKeychain, isLikely: () => Promise.resolve(true) } },
    })
    await put('abc')
    expect(await kinds()).toEqual(['key-file'])
  })
})

describe('a passphrase', () => {
  it('opens the vault, and no other does', async () => {
    const reference = await onlyByPassphrase()
    expect([await kinds(), await keyFiles()]).toEqual([['passphrase'], []])
    vault = await home.start()
    await expect(get(reference)).rejects.toMatchObject({ kind: 'sign-in', code: 'VAULT_LOCKED' })
    await expect(vault.unlock({ kind: 'machine' })).rejects.toMatchObject({ code: 'VAULT_KEY' })
    for (let attempt = 0; attempt < 100; attempt++) await expect(vault.unlock(wrong)).rejects.toMatchObject({ code: 'VAULT_KEY' })
    expect(await vault.status()).toMatchObject({ state: 'locked' })
    await vault.unlock(opens)
    expect(await get(reference)).toBe('abc')
    await expect(vault.unlock(wrong)).rejects.toMatchObject({ code: 'VAULT_KEY' })
  })

  it('may be typed composed or decomposed', async () => {
    await put('abc')
    await vault.addSlot({ kind: 'passphrase', passphrase: new Secret('caf\u00e9 caf\u00e9 caf\u00e9') }, null)
    const found = await vault.unlock({ kind: 'passphrase', passphrase: new Secret('cafe\u0301 cafe\u0301 cafe\u0301') })
    expect(found).toMatchObject({ kind: 'passphrase' })
  })

  it('that is short is refused', async () => {
    await expect(vault.addSlot({ kind: 'passphrase', passphrase: new Secret('hunter2') }, null)).rejects.toMatchObject({ kind: 'invalid' })
    expect(await vault.status()).toMatchObject({ state: 'none' })
  })

  it('can be the first slot', async () => {
    await vault.addSlot({ kind: 'passphrase', passphrase }, null)
    const reference = await put('abc')
    expect(await kinds()).toEqual(['passphrase'])
    vault = await home.start()
    await vault.unlock(opens)
    expect(await get(reference)).toBe('abc')
  })

  it('gets the cost of today when it is next used', async () => {
    const reference = await onlyByPassphrase()
    expect((await vault.status()).slots[0]?.detail).toContain('0 MiB')
    vault = await home.start({ cost: { memoryKiB: 1024, passes: 2, lanes: 1 } })
    await vault.unlock(opens)
    expect((await vault.status()).slots[0]?.detail).toContain('1 MiB')
    vault = await home.start()
    await vault.unlock(opens)
    expect(await get(reference)).toBe('abc')
    expect((await vault.test()).problems).toEqual([])
  })

  it('is not tried by many at once', async () => {
    await onlyByPassphrase()
    const attempts = await Promise.allSettled(Array.from({ length: 5 }, () => vault.unlock(wrong)))
    const codes = attempts.map((attempt) => (attempt.status === 'rejected' ? (attempt.reason as { kind: string }).kind : 'opened'))
    expect(codes).toEqual(['access', 'access', 'access', 'throttled', 'throttled'])
  })
})

describe('the recovery key', () => {
  it('opens the vault, with any spelling', async () => {
    const reference = await put('abc')
    const recoveryKey = await vault.makeRecoveryKey()
    expect(recoveryKey.reveal()).toMatch(/^([0-9a-z]{4}-){8}[0-9a-z]{4}$/)
    await rm(home.keyFile)
    vault = await home.start()
    const spelled = recoveryKey.reveal().toUpperCase().replaceAll('-', ' ').replaceAll('0', 'O').replaceAll('1', 'l')
    await vault.unlock({ kind: 'recovery-key', recoveryKey: new Secret(spelled) })
    expect(await get(reference)).toBe('abc')
  })

  it('with a slip of the pen is told apart from a wrong one', async () => {
    await put('abc')
    const key = (await vault.makeRecoveryKey()).reveal()
    const slip = (key.startsWith('2') ? '3' : '2') + key.slice(1)
    await expect(vault.unlock({ kind: 'recovery-key', recoveryKey: new Secret(slip) })).rejects.toMatchObject({ kind: 'invalid' })
    await vault.makeRecoveryKey()
    await expect(vault.unlock({ kind: 'recovery-key', recoveryKey: new Secret(key) })).rejects.toMatchObject({ code: 'VAULT_KEY' })
    expect(await kinds()).toEqual(['key-file', 'recovery-key'])
  })
})

describe('locking', () => {
  it('stops giving and changing, and keeps what running mounts need', async () => {
    const [kept, other] = [await put('kept'), await vault.secrets.put('p2', 'password', new Secret('other'))]
    await vault.lock(['p1'])
    for (const call of [
      () => get(kept),
      () => put('x'),
      () => vault.secrets.remove([kept]),
      () => vault.secrets.ready(),
      () => vault.rotate(),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'VAULT_LOCKED' })
    }
    for (const call of [() => vault.makeRecoveryKey(), () => vault.removeSlot('x'), () => vault.test()]) {
      await expect(call()).rejects.toMatchObject({ code: 'VAULT_LOCKED' })
    }
    expect((await vault.secrets.list()).map((secret) => secret.id).sort()).toEqual([kept, other].sort())
    expect((await vault.serving.get(kept)).reveal()).toBe('kept')
    const refreshed = await vault.serving.put('p1', 'token', new Secret('refreshed'))
    await vault.serving.remove([kept])
    await expect(vault.serving.get(other)).rejects.toMatchObject({ code: 'VAULT_LOCKED' })
    await expect(vault.serving.put('p2', 'token', new Secret('x'))).rejects.toMatchObject({ code: 'VAULT_LOCKED' })
    await vault.unlock({ kind: 'machine' })
    expect([await get(refreshed), await get(other)]).toEqual(['refreshed', 'other'])
    await expect(get(kept)).rejects.toMatchObject({ kind: 'not-found' })
  })

  it('is told to who waits for the opposite', async () => {
    let times = 0
    vault.onUnlock(() => times++)
    await put('abc')
    await vault.lock([])
    await vault.lock([])
    expect(times).toBe(0)
    await vault.unlock({ kind: 'machine' })
    expect(times).toBe(1)
  })

  it('of what is not there is refused', async () => {
    await expect(vault.lock([])).rejects.toMatchObject({ kind: 'not-found' })
    await expect(vault.unlock({ kind: 'machine' })).rejects.toMatchObject({ kind: 'not-found' })
    await expect(vault.rotate()).rejects.toMatchObject({ kind: 'not-found' })
  })
})

describe('slots', () => {
  it('the last is not removed', async () => {
    await put('abc')
    const first = await slotOf('key-file')
    await expect(vault.removeSlot(first)).rejects.toMatchObject({ code: 'LAST_SLOT' })
    await vault.addSlot({ kind: 'passphrase', passphrase }, null)
    await vault.removeSlot(first)
    await expect(vault.removeSlot(await slotOf('passphrase'))).rejects.toMatchObject({ code: 'LAST_SLOT' })
    await expect(vault.removeSlot('absent')).rejects.toMatchObject({ kind: 'not-found' })
    expect(await keyFiles()).toEqual([])
  })

  it('of the machine are one of a kind, and the kind must be there', async () => {
    await put('abc')
    await expect(vault.addSlot({ kind: 'key-file' }, null)).rejects.toMatchObject({ kind: 'exists' })
    await expect(vault.addSlot({ kind: 'keychain' }, null)).rejects.toMatchObject({ code: 'NO_KEYCHAIN' })
    await expect(vault.addSlot({ kind: 'credential' }, null)).rejects.toMatchObject({ kind: 'not-found' })
    await vault.addSlot({ kind: 'key-file' }, await slotOf('key-file'))
    expect([await kinds(), (await keyFiles()).length]).toEqual([['key-file'], 1])
    expect((await vault.test()).problems).toEqual([])
  })

  it('that are gone open nothing, not even with a copy of what was there', async () => {
    const reference = await onlyByPassphrase()
    const before = await home.table.read()
    await vault.addSlot({ kind: 'passphrase', passphrase: new Secret('another long passphrase') }, await slotOf('passphrase'))
    const old = before?.slots[0]
    if (old === undefined) throw new Error('no slot')
    const insert = 'INSERT INTO vault_slots (id, kind, params, public_key, root_key, created_at) VALUES (?, ?, ?, ?, ?, ?)'
    home.database.prepare(insert).run(old.id, old.kind, old.params, old.publicKey, old.rootKey, old.createdAt)
    vault = await home.start()
    await expect(vault.unlock(opens)).rejects.toMatchObject({ kind: 'damaged' })
    await vault.unlock({ kind: 'passphrase', passphrase: new Secret('another long passphrase') })
    expect(await get(reference)).toBe('abc')
    expect((await vault.test()).problems).toMatchObject([{ what: 'slot', id: old.id }])
    await vault.removeSlot(old.id)
    expect((await vault.test()).problems).toEqual([])
  })

  it('are no more than sixteen', async () => {
    await put('abc')
    for (let number = 0; number < 15; number++) await vault.addSlot({ kind: 'passphrase', passphrase }, null)
    await expect(vault.addSlot({ kind: 'passphrase', passphrase }, null)).rejects.toMatchObject({ kind: 'quota' })
  })
})

describe('rotation', () => {
  it('seals everything anew, also the keys of the machine, and leaves passphrases as they are', async () => {
    const references = [await put('one'), await put('two')]
    await vault.addSlot({ kind: 'passphrase', passphrase }, null)
    const recoveryKey = await vault.makeRecoveryKey()
    const [rows, key] = [await Promise.all(references.map((id) => home.table.secret(id))), await readFile(home.keyFile)]
    await vault.rotate()
    const files = await keyFiles()
    expect(files).toHaveLength(1)
    expect(await readFile(join(home.folder, files[0] ?? ''))).not.toEqual(key)
    const after = await Promise.all(references.map((id) => home.table.secret(id)))
    expect(after.map((row) => row?.id)).toEqual(references)
    for (const [at, row] of after.entries()) {
      expect(row?.sealed).not.toEqual(rows[at]?.sealed)
      expect(row?.dataKey).not.toEqual(rows[at]?.dataKey)
    }
    expect(await Promise.all(references.map(get))).toEqual(['one', 'two'])
    for (const by of [{ kind: 'machine' } as const, opens, { kind: 'recovery-key', recoveryKey } as const]) {
      vault = await home.start()
      await vault.lock([])
      await vault.unlock(by)
      expect(await Promise.all(references.map(get))).toEqual(['one', 'two'])
    }
  })

  it('goes on beside readers and writers', async () => {
    const reference = await put('one')
    const work = Array.from({ length: 30 }, (_, number) =>
      number % 10 === 5 ? vault.rotate() : number % 3 === 0 ? put(`v${number}`) : get(reference),
    )
    const results = await Promise.allSettled(work)
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [(result.reason as { kind: string }).kind] : []))
    // Two rotations at once are one.
    expect(failures.every((kind) => kind === 'conflict')).toBe(true)
    expect(await get(reference)).toBe('one')
    expect((await vault.test()).problems).toEqual([])
  })
})

describe('what was sealed before there was a vault', () => {
  async function sealAsBefore(value: string): Promise<string> {
    const key = randomBytes(32)
    await writeFile(home.keyFile, key, { mode: 0o600 })
    const nonce = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 })
    cipher.setAAD(frame(['cloudmoor secret', 1, 'ref', 'p1', 'password', 1]))
    const sealed = Buffer.concat([Buffer.of(1), nonce, cipher.update(value), cipher.final(), cipher.getAuthTag()])
    home.database
      .prepare("INSERT INTO secrets (id, owner, name, version, sealed, created_at) VALUES ('ref', 'p1', 'password', 1, ?, 5)")
      .run(sealed)
    return 'ref'
  }

  it('is taken over under its key file, with its references', async () => {
    const reference = await sealAsBefore('old')
    vault = await home.start()
    expect(await vault.status()).toMatchObject({ state: 'unlocked', secrets: 1, slots: [{ kind: 'key-file' }] })
    expect([await get(reference), await keyFiles()]).toEqual(['old', ['secrets.key']])
    expect((await vault.test()).problems).toEqual([])
    vault = await home.start()
    expect(await get(reference)).toBe('old')
  })

  it('waits for its key file, and nothing is made over it', async () => {
    const reference = await sealAsBefore('old')
    const key = await readFile(home.keyFile)
    await rm(home.keyFile)
    vault = await home.start()
    expect(home.log.map(({ level }) => level)).toContain('error')
    await expect(put('x')).rejects.toMatchObject({ kind: 'damaged', message: expect.stringContaining('gone') })
    await expect(vault.addSlot({ kind: 'passphrase', passphrase }, null)).rejects.toMatchObject({ kind: 'damaged' })
    expect(await keyFiles()).toEqual([])
    await writeFile(home.keyFile, key, { mode: 0o600 })
    await vault.unlock({ kind: 'machine' })
    expect(await get(reference)).toBe('old')
  })
})

it('says so when something else changed the vault', async () => {
  const other = await home.start()
  await put('abc')
  await expect(other.secrets.put('p1', 'password', new Secret('x'))).rejects.toMatchObject({
    kind: expect.stringMatching(/conflict|sign-in|damaged/),
  })
})

it('never tells a secret in its log', async () => {
  await put('hunter2')
  await vault.addSlot({ kind: 'passphrase', passphrase }, null)
  const recoveryKey = await vault.makeRecoveryKey()
  await vault.rotate()
  await vault.unlock(wrong).catch(() => {})
  const text = JSON.stringify(home.log)
  expect(text).toContain('root key')
  for (const secret of ['hunter2', passphrase.reveal(), wrong.passphrase.reveal(), recoveryKey.reveal()]) expect(text).not.toContain(secret)
})
