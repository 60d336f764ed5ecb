/** The table of what POSIX calls do, on real mounts, and on the file system of this machine, which proves the table itself. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { localCloud, minioCloud } from '../support/clouds.ts'
import { Installation, shell } from '../support/installation.ts'
import { isProof } from '../support/random.ts'
import { effects } from './effects.ts'
import { paths } from './paths.ts'
import { rights } from './rights.ts'
import { runTable } from './table.ts'
import { typeCases } from './types.ts'

const table = [...paths, ...typeCases, ...rights, ...effects]
const limit = { timeout: 180_000 }
let scratch: string
let driver: string

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'cm-posix-'))
  driver = join(scratch, 'driver')
  await shell(`cc -O1 -Wall -Werror -o "${driver}" "${join(import.meta.dirname, 'driver.c')}" && chmod 755 "${scratch}"`)
})

afterAll(() => rm(scratch, { recursive: true, force: true }))

async function check(name: string, place: string, cases = table): Promise<void> {
  const totals = await runTable(driver, place, cases)
  const skipped = totals.skipped === 0 ? '' : `, ${totals.skipped} left out without root`
  const seconds = (totals.milliseconds / 1000).toFixed(1)
  process.stdout.write(
    `POSIX table on ${name}: ${totals.cases} cases, ${totals.calls} calls, ${totals.wrong.length} wrong${skipped}, ${seconds} s\n`,
  )
  expect(totals.wrong).toEqual([])
}

test('the table has a case for each call, type, state and errno, each once', () => {
  expect(table.length).toBeGreaterThan(600)
  expect(new Set(table.map(({ name }) => name)).size).toBe(table.length)
})

test('the file system of this machine', () => check('this machine', scratch))

test('a mount of a folder', limit, async () => {
  await using cloud = await localCloud()
  await using installation = await Installation.create()
  await installation.account('cloud', cloud.account)
  const mount = await installation.mount('drive', 'cloud', ['--access', 'all'])
  await check('local', mount)
  await installation.uploaded('drive', 120_000)
})

test('a mount of a MinIO bucket', limit, async ({ skip }) => {
  const cloud = await minioCloud()
  if ('missing' in cloud) return skip(cloud.missing)
  await using installation = await Installation.create()
  await using server = cloud
  await installation.account('cloud', server.account)
  const mount = await installation.mount('drive', 'cloud', ['--access', 'all'])
  // What a mount does itself is seen on the other one; here is what the provider could do to it.
  await check('MinIO', mount, isProof ? table : table.filter((_, index) => index % 5 === 0))
  await installation.uploaded('drive', 120_000)
})
