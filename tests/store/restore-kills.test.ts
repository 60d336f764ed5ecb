import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Secret } from '../../src-service/common/secret.ts'
import { createBackups } from '../../src-service/control/backup/backups.ts'
import { openStore } from '../../src-service/control/store/open-store.ts'

/** A process for each step takes a while: all of them only where everything is proved. */
const stride = process.env['CLOUDMOOR_PROOF'] === '1' ? 1 : 7

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cm-restore-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

function placesIn(home: string) {
  const at = (name: string) => join(home, name)
  return {
    database: at('service.db'),
    backups: at('backups'),
    lock: at('service.lock'),
    keyFile: at('secrets.key'),
    auditKey: at('audit.key'),
  }
}

function open(home: string) {
  const { database, backups, lock, keyFile, auditKey } = placesIn(home)
  return openStore({ database, backups, lock, lockWaitMs: 0, keys: { 'secrets.key': keyFile, 'audit.key': auditKey } })
}

/** A home whose setting, and whose key, say what it is. */
async function makeHome(name: string): Promise<string> {
  const home = join(folder, name)
  mkdirSync(join(home, 'backups'), { recursive: true })
  writeFileSync(join(home, 'secrets.key'), name, { mode: 0o600 })
  const store = await open(home)
  await store.settings.set('what', name)
  await store.close()
  return home
}

it('a restore that is killed at any step leaves the old state or the new one, with its key, and the next start goes on', {
  timeout: 240_000,
}, async () => {
  const source = await makeHome('new')
  const backup = join(folder, 'a.backup')
  const store = await open(source)
  const mounts = {
    list: () => Promise.resolve([]),
    orphans: { list: () => Promise.resolve([]), adopt: never, export: never, discard: never },
  }
  const backups = createBackups({ copies: store.copies, mounts, places: placesIn(source), version: '1.0.0', now: () => 1000 })
  await backups.create(backup, new Secret('correct horse battery'), AbortSignal.timeout(10_000))
  await store.close()
  const old = await makeHome('old')

  const seen = new Map<string, number>()
  for (let at = 1, over = false; !over; at += stride) {
    const home = join(folder, `try-${at}`)
    cpSync(old, home, { recursive: true })
    const child = spawnSync(process.execPath, [
      join(import.meta.dirname, 'restore-killed.ts'),
      join(home, 'service.db'),
      backup,
      String(at),
    ])
    over = child.signal !== 'SIGKILL'
    if (over) expect(child.stderr.toString()).toBe('')
    const next = await open(home)
    const what = await next.settings.get('what')
    await next.close()
    expect(['old', 'new'], `after step ${at}`).toContain(what)
    expect(readFileSync(join(home, 'secrets.key'), 'utf8'), `the key after step ${at}`).toBe(what)
    expect(
      readdirSync(home).filter((name) => /restore|unfinished/.test(name)),
      `left after step ${at}`,
    ).toEqual([])
    seen.set(what ?? '', (seen.get(what ?? '') ?? 0) + 1)
    rmSync(home, { recursive: true })
  }
  // The fault fired on both sides of the point of no return.
  expect(seen.get('old')).toBeGreaterThan(2)
  expect(seen.get('new')).toBeGreaterThan(2)
})

function never(): Promise<never> {
  return Promise.reject(new Error('nobody asks this'))
}
