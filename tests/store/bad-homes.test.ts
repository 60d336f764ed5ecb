import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { exitCodes } from '../../src-cli/exit-codes.ts'
import { Installation, run, shell } from '../support/installation.ts'

const unable = process.getuid?.() === 0 && existsSync('/dev/fuse') ? undefined : 'only root mounts a small disk'

const program = join(import.meta.dirname, '../../bin/cloudmoor-service')

let here: Installation | undefined
afterEach(async () => {
  if (here === undefined) return
  const { home } = here
  await run('mount', ['-o', 'remount,rw', home]).catch(() => undefined)
  await here.attempt(['service', 'stop', '--timeout', '0'])
  await here.killAll()
  await run('umount', ['-l', home])
  await here[Symbol.asyncDispose]()
  here = undefined
})

/** A home on a disk of its own. */
async function homeOnDisk(size: string): Promise<Installation> {
  here = await Installation.create()
  await shell(`mount -t tmpfs -o size=${size},mode=700 cm-home "${here.home}"`)
  return here
}

function fill(home: string): string {
  const path = join(home, 'filler')
  for (let size = 1 << 20; size >= 512; ) {
    try {
      writeFileSync(path, Buffer.alloc(size), { flag: 'a' })
    } catch {
      size /= 2
    }
  }
  return path
}

const save = (one: Installation, name: string) => one.attempt(['config', 'create', name, '--provider', 'local', '--set', 'path=/srv'])

it('a disk that becomes full refuses changes and says so, keeps what there was, and goes on when there is room', {
  timeout: 120_000,
}, async ({ skip }) => {
  if (unable !== undefined) return skip(unable)
  const one = await homeOnDisk('24m')
  expect((await save(one, 'before')).code).toBe(0)
  const filler = fill(one.home)
  const refused = await save(one, 'while-full')
  expect(refused.code).not.toBe(0)
  expect(refused.stderr).toMatch(/disk|space|audit/i)
  const kept = await one.attempt(['config', 'list', '--json'])
  expect(kept.stdout).toContain('before')
  expect(kept.stdout).not.toContain('while-full')
  rmSync(filler)
  expect((await save(one, 'after')).code).toBe(0)
  expect((await one.attempt(['config', 'list'])).stdout).toContain('after')
})

/** Every file of the home and its bytes, but for what a start may leave: logs, sockets and SQLite's working files. */
function keptIn(home: string): Map<string, string> {
  const names = readdirSync(home, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  const paths = names
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !/\/(logs|run)\/|-shm$|-wal$|\.lock$|\/filler$/.test(path))
  return new Map(paths.map((path) => [path, createHash('sha256').update(readFileSync(path)).digest('hex')]))
}

const startService = (one: Installation) => run(program, [], { env: one.env, timeoutMs: 30_000 })

it.for(['a home that is in use', 'a home that is new'])(
  'a start on a full disk, %s: says where there is no room, loses nothing',
  {
    timeout: 120_000,
  },
  async (which, { skip }) => {
    if (unable !== undefined) return skip(unable)
    const one = await homeOnDisk('24m')
    const isUsed = which === 'a home that is in use'
    if (isUsed) {
      expect((await save(one, 'before')).code).toBe(0)
      await one.cloudmoor(['service', 'stop'])
    }
    const before = keptIn(one.home)
    const filler = fill(one.home)
    const started = await startService(one)
    expect(started.code).toBe(1)
    expect(started.stderr).toContain(one.home)
    expect(started.stderr).toMatch(/disk is full/)
    expect(started.stderr).toMatch(/Make room/)
    expect(started.stderr).not.toMatch(/ENOSPC|SQLITE/)
    for (const [path, digest] of before) expect([path, keptIn(one.home).get(path)]).toEqual([path, digest])
    rmSync(filler)
    expect((await save(one, 'after')).code).toBe(0)
    const { stdout } = await one.attempt(['config', 'list'])
    expect(stdout).toContain('after')
    if (isUsed) expect(stdout).toContain('before')
  },
)

it('a home on a read-only disk is refused with its path, and nothing is changed in it', { timeout: 60_000 }, async ({ skip }) => {
  if (unable !== undefined) return skip(unable)
  const one = await homeOnDisk('24m')
  expect((await save(one, 'before')).code).toBe(0)
  await one.cloudmoor(['service', 'stop'])
  const before = readdirSync(one.home)
  await shell(`mount -o remount,ro "${one.home}"`)
  const started = await startService(one)
  expect(started.code).toBe(1)
  expect(started.stderr).toMatch(/is on a disk that is read-only/)
  expect(started.stderr).toMatch(/Make its disk writable/)
  expect(started.stderr).not.toContain('EROFS')
  expect(started.stderr).toContain(one.home)
  await shell(`mount -o remount,rw "${one.home}"`)
  expect(readdirSync(one.home)).toEqual(before)
  expect((await save(one, 'after')).code).toBe(0)
  expect((await one.attempt(['config', 'list'])).stdout).toContain('before')
})

it('a database elsewhere is used, and a second service on the home is told who has it', { timeout: 60_000 }, async () => {
  const one = await Installation.create()
  here = one
  const database = join(one.folder, 'elsewhere.db')
  const first = run(program, ['--database', database], { env: one.env, timeoutMs: 50_000 })
  for (let tries = 0; tries < 100 && (await one.attempt(['service', 'status'])).code !== 0; tries++)
    await new Promise((resolve) => setTimeout(resolve, 100))
  expect((await save(one, 'disk')).code).toBe(0)
  expect(existsSync(database)).toBe(true)
  expect(existsSync(join(one.home, 'service.db'))).toBe(false)
  const second = await run(program, ['--database', database], { env: one.env, timeoutMs: 30_000 })
  expect(second.code).toBe(1)
  expect(second.stderr).toMatch(/another service \(process \d+\) runs on this home/)
  expect((await one.attempt(['service', 'stop'])).code).toBe(exitCodes.ok)
  expect((await first).code).toBe(0)
})
