import { spawn, spawnSync } from 'node:child_process'
import { createCipheriv, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { Secret } from '../../src-service/common/secret.ts'
import { frame } from '../../src-service/control/vault/canonical.ts'
import type { ServiceVault } from '../../src-service/control/vault/create-vault.ts'
import { openTestHome } from '../support/vault-home.ts'
import type { UnlockBy } from '../../src-service/control/vault/vault.ts'
import { newPassphrase, oldPassphrase } from './operations.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vault-kills-'))
})
afterEach(() => rm(folder, { recursive: true }))

const here = fileURLToPath(new URL('.', import.meta.url))
/** One file starts twenty times as fast as its hundreds of parts. It lies where it finds what has binaries. */
const script = join(here, `../../node_modules/.cache/cloudmoor-killed-${process.pid}.mjs`)
beforeAll(async () => {
  const external = ['better-sqlite3', '@node-rs/argon2', '@napi-rs/keyring']
  await build({ entryPoints: [join(here, 'killed.ts')], outfile: script, bundle: true, platform: 'node', format: 'esm', external })
})
afterAll(() => rm(script, { force: true }))

/** Runs an operation that is killed at a step. @returns false if it came to its end */
type Kill = (home: string, operation: string, step: number) => Promise<boolean>

const atStep: Kill = (home, operation, step) => wasKilled(process.execPath, [script, home, operation, String(step)])

const persisting = 'pwrite64,write,ftruncate,fsync,fdatasync,link,linkat,unlink,unlinkat,rename'

/** At the n-th call to the kernel that changes a file; each of its two threads counts for itself. */
const atCall: Kill = (home, operation, step) => {
  const inject = ['-e', `trace=${persisting}`, '-e', `inject=${persisting}:signal=SIGKILL:when=${step}`]
  return wasKilled('strace', ['-f', '-qq', '-o', '/dev/null', ...inject, process.execPath, script, home, operation, '0'])
}

async function wasKilled(command: string, args: readonly string[]): Promise<boolean> {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, UV_THREADPOOL_SIZE: '1' } })
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
  if (signal === 'SIGKILL') return true
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code ?? signal}`)
  return false
}

interface Case {
  /** @returns references of the secrets that must be there whatever happens */
  readonly prepare: (vault: ServiceVault, home: string) => Promise<Readonly<Record<string, string>>>
  /** Keys that open it before, and after: at every step one of them does, and never only some of the secrets. */
  readonly before: readonly UnlockBy[]
  readonly after: readonly UnlockBy[]
}

const machine: UnlockBy = { kind: 'machine' }
const old: UnlockBy = { kind: 'passphrase', passphrase: oldPassphrase }
const fresh: UnlockBy = { kind: 'passphrase', passphrase: newPassphrase }

async function threeSecrets(vault: ServiceVault): Promise<Record<string, string>> {
  const references: Record<string, string> = {}
  for (const value of ['one', 'two', 'three']) references[await vault.secrets.put('p1', value, new Secret(value))] = value
  return references
}

async function withBoth(vault: ServiceVault): Promise<Record<string, string>> {
  const references = await threeSecrets(vault)
  await vault.addSlot({ kind: 'passphrase', passphrase: oldPassphrase }, null)
  return references
}

const cases: Readonly<Record<string, Case>> = {
  rotate: { prepare: withBoth, before: [machine, old], after: [machine, old] },
  'change-passphrase': { prepare: withBoth, before: [machine, old], after: [machine, fresh] },
  'key-file-to-passphrase': { prepare: threeSecrets, before: [machine], after: [fresh] },
  'remove-slot': { prepare: withBoth, before: [machine, old], after: [old] },
}

async function opensWith(vault: ServiceVault, by: UnlockBy, references: Readonly<Record<string, string>>): Promise<boolean> {
  await vault.lock([])
  const opened = await vault.unlock(by).then(
    () => true,
    () => false,
  )
  if (!opened) return false
  for (const [reference, value] of Object.entries(references)) expect((await vault.secrets.get(reference)).reveal()).toBe(value)
  return true
}

const minutes = 60_000

/** @returns how often it was found as before and as after, and the numbers of key files that were seen */
async function killEverywhere(operation: string, kill: Kill) {
  const { prepare, before, after } = cases[operation] ?? { prepare: withBoth, before: [], after: [] }
  const template = join(folder, 'template')
  const prepared = await openTestHome(template)
  const references = await prepare(await prepared.start(), template)
  prepared.database.close()
  const seen = { before: 0, after: 0, keyFiles: new Set<number>() }
  for (let step = 1; ; step++) {
    const copy = join(folder, String(step))
    await cp(template, copy, { recursive: true })
    const killed = await kill(copy, operation, step)
    seen.keyFiles.add((await readdir(copy)).filter((name) => /^secrets.*\.key$/.test(name)).length)
    const home = await openTestHome(copy)
    const vault = await home.start()
    const outcome = []
    for (const by of [...new Set([...before, ...after])]) if (await opensWith(vault, by, references)) outcome.push(by)
    const isOld = same(outcome, before)
    const isNew = same(outcome, after)
    expect(isOld || isNew, `step ${step}: opens by ${outcome.map(({ kind }) => kind).join()}`).toBe(true)
    if (isNew && !isOld) seen.after++
    else seen.before++
    await vault.unlock(outcome[0] ?? machine)
    expect((await vault.test()).problems, `step ${step}`).toEqual([])
    // It can be changed as before.
    await vault.rotate()
    await home.remove()
    if (killed) continue
    console.info(
      `${operation}: killed at ${step - 1} places, opened with the old keys ${seen.before} times, with the new ${seen.after} times, never with neither`,
    )
    return seen
  }
}

it.each(Object.keys(cases))(
  '%s, killed at every step, leaves a vault that opens with the old keys or with the new',
  { timeout: 10 * minutes },
  async (operation) => {
    const { before, after, keyFiles } = await killEverywhere(operation, atStep)
    expect(before).toBeGreaterThan(5)
    // A rotation looks the same from outside, but for the key files: both are there for a while. The others are seen on both sides.
    if (operation === 'rotate') expect([...keyFiles].sort()).toEqual([1, 2])
    else expect(after).toBeGreaterThan(1)
  },
)

const strace = spawnSync('strace', ['-qq', '-o', '/dev/null', 'true']).status === 0

it.for(['rotate', 'key-file-to-passphrase'])(
  '%s, killed at every call that changes a file, leaves a vault that opens with the old keys or with the new',
  { timeout: 10 * minutes },
  async (operation, { skip }) => {
    if (!strace) skip('strace is not installed, or may not trace')
    const { before, after } = await killEverywhere(operation, atCall)
    expect(before + after).toBeGreaterThan(10)
    if (operation !== 'rotate') expect(after).toBeGreaterThan(0)
  },
)

function same(some: readonly UnlockBy[], others: readonly UnlockBy[]): boolean {
  return some.length === others.length && some.every((by) => others.includes(by))
}

it('the first secret, killed at every step, is there or not, and the next one is stored', { timeout: 5 * minutes }, async () => {
  const seen = new Set<number>()
  for (let step = 1; ; step++) {
    const copy = join(folder, String(step))
    const killed = await atStep(copy, 'first-secret', step)
    const home = await openTestHome(copy)
    const vault = await home.start()
    const stored = await vault.secrets.list()
    seen.add(stored.length)
    for (const { id } of stored) expect((await vault.secrets.get(id)).reveal()).toBe('first')
    const next = await vault.secrets.put('p1', 'next', new Secret('next'))
    expect((await vault.secrets.get(next)).reveal()).toBe('next')
    await home.remove()
    if (!killed) break
  }
  expect([...seen].sort()).toEqual([0, 1])
})

it('the take-over of what the key file sealed, killed at every step, loses nothing', { timeout: 5 * minutes }, async () => {
  const template = join(folder, 'template')
  const prepared = await openTestHome(template)
  const key = randomBytes(32)
  await writeFile(prepared.keyFile, key, { mode: 0o600 })
  for (const [version, value] of ['one', 'two'].entries()) {
    const nonce = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 })
    cipher.setAAD(frame(['cloudmoor secret', 1, value, 'p1', 'password', version]))
    const sealed = Buffer.concat([Buffer.of(1), nonce, cipher.update(value), cipher.final(), cipher.getAuthTag()])
    const insert = "INSERT INTO secrets (id, owner, name, version, sealed, created_at) VALUES (?, 'p1', 'password', ?, ?, 5)"
    prepared.database.prepare(insert).run(value, version, sealed)
  }
  prepared.database.close()
  for (let step = 1; ; step++) {
    const copy = join(folder, String(step))
    await cp(template, copy, { recursive: true })
    const killed = await atStep(copy, 'take-over', step)
    expect(await readFile(join(copy, 'secrets.key'))).toEqual(key)
    const home = await openTestHome(copy)
    const vault = await home.start()
    for (const value of ['one', 'two']) expect((await vault.secrets.get(value)).reveal(), `step ${step}`).toBe(value)
    expect((await vault.test()).problems).toEqual([])
    await home.remove()
    if (!killed) {
      expect(step).toBeGreaterThan(5)
      break
    }
  }
})
