import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { exitCodes } from '../../src-cli/exit-codes.ts'
import { Installation, run, shell } from '../support/installation.ts'

const unable = process.getuid?.() === 0 && existsSync('/dev/fuse') ? undefined : 'only root mounts a small disk'

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

it('a home on a read-only disk is refused with its path, and nothing is changed in it', { timeout: 60_000 }, async ({ skip }) => {
  if (unable !== undefined) return skip(unable)
  const one = await homeOnDisk('24m')
  expect((await save(one, 'before')).code).toBe(0)
  await one.cloudmoor(['service', 'stop'])
  const before = readdirSync(one.home)
  await shell(`mount -o remount,ro "${one.home}"`)
  const started = await run(join(import.meta.dirname, '../../bin/cloudmoor-service'), [], { env: one.env, timeoutMs: 30_000 })
  expect(started.code).toBe(1)
  expect(started.stderr).toMatch(/read-only/i)
  expect(started.stderr).toContain(one.home)
  await shell(`mount -o remount,rw "${one.home}"`)
  expect(readdirSync(one.home)).toEqual(before)
})

it('a database elsewhere is used, and a second service on the home is told who has it', { timeout: 60_000 }, async () => {
  const one = await Installation.create()
  here = one
  const database = join(one.folder, 'elsewhere.db')
  const program = join(import.meta.dirname, '../../bin/cloudmoor-service')
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
