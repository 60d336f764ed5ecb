import Database from 'better-sqlite3'
import { existsSync } from 'node:fs'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, vi } from 'vitest'
import { localCloud } from '../support/clouds.ts'
import { Installation } from '../support/installation.ts'

/** What a power loss leaves unproved is put aside, and a person is told of it. */

it('files that were put aside after a power loss raise an alert, which stays until somebody ends it', { timeout: 60_000 }, async ({
  skip,
}) => {
  if (!existsSync('/dev/fuse')) return skip('there is no /dev/fuse')
  await using all = new AsyncDisposableStack()
  const cloud = all.use(await localCloud())
  const here = all.use(await Installation.create())
  await here.account('cloud', cloud.account)
  const path = await here.mount('drive', 'cloud', ['--option', 'writeBackSeconds=300'])
  await writeFile(join(path, 'never-synced'), 'bytes')
  await here.killAll()
  // To the drive the machine was off meanwhile: it is another boot now.
  const [folder = ''] = await readdir(join(here.home, 'mounts'))
  const database = new Database(join(here.home, 'mounts', folder, 'drive.sqlite'))
  expect(database.prepare("UPDATE meta SET value = 'another boot' WHERE key = 'boot_id'").run().changes).toBe(1)
  database.close()
  await here.cloudmoor(['service', 'start'])

  const listed = async () =>
    JSON.parse(await here.cloudmoor(['alerts', 'list', '--json'])) as readonly { readonly id: string; readonly reason: string }[]
  await vi.waitFor(async () => expect(await listed()).toMatchObject([{ reason: 'quarantined' }]), { timeout: 20_000, interval: 300 })
  expect(await here.cloudmoor(['conflicts', 'list'])).toContain('never-synced')
  const [alert] = await listed()
  await here.cloudmoor(['alerts', 'resolve', alert?.id ?? ''])
  expect(await listed()).toEqual([])
})
