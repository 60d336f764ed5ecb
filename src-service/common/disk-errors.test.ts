import { mkdir, mkdtemp, open, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { CloudError } from './errors.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'disk-errors-'))
  await writeFile(join(folder, 'file'), '')
  await mkdir(join(folder, 'full'))
  await writeFile(join(folder, 'full', 'one'), '')
  await symlink('loop', join(folder, 'loop'))
})
afterEach(() => rm(folder, { recursive: true }))

async function saidOf(work: () => Promise<unknown>): Promise<CloudError> {
  const caught = await work().then(
    () => null,
    (error: unknown) => error,
  )
  expect(caught).toBeInstanceOf(Error)
  return CloudError.from(caught)
}

it('what a disk refuses is told with its path and what to do, without names of errors and calls', async () => {
  const at = (name: string) => join(folder, name)
  const refusals = [
    [() => readFile(at('absent')), 'not-found', `${at('absent')} does not exist`],
    [() => readdir(at('file')), 'not-a-folder', `${at('file')} has something in its path that is no folder`],
    [() => mkdir(at('file')), 'exists', `${at('file')} exists already`],
    [() => readFile(at('loop')), 'io', `${at('loop')} leads round in symbolic links`],
    [() => open(folder, 'w'), 'is-a-folder', `${folder} is a folder`],
    [() => mkdir('/proc/absent'), 'not-found', '/proc/absent does not exist'],
    [() => rename(at('full'), at('file')), 'not-a-folder', `${at('file')} has something in its path that is no folder`],
    [() => rename(at('absent'), at('file')), 'not-found', `${at('absent')} does not exist`],
    [() => writeFile('/dev/full', 'x'), 'no-space', 'a file cannot be written: its disk is full'],
  ] as const
  for (const [work, kind, message] of refusals) {
    const error = await saidOf(work)
    expect(error).toMatchObject({ kind, message, hint: expect.stringMatching(/\.$/) as string })
    expect(error.message).not.toMatch(/\bE[A-Z]{3,}\b/)
    // For the log.
    expect(error.code).toMatch(/^E[A-Z]+$/)
    expect(error.cause).toBeInstanceOf(Error)
  }
})

it('other errors of the system keep their text', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:9'), { code: 'ECONNREFUSED' })
  expect(CloudError.from(refused)).toMatchObject({ kind: 'offline', message: refused.message })
})

it.each([
  ['SQLITE_FULL', 'no-space', /its disk is full/],
  ['SQLITE_IOERR_SHMSIZE', 'no-space', /its disk is full/],
  ['SQLITE_READONLY_DIRECTORY', 'read-only', /it is read-only/],
  ['SQLITE_IOERR_READ', 'io', /disk I\/O error/],
])('of a database: %s', (code, kind, message) => {
  const error = CloudError.from(Object.assign(new Error('disk I/O error'), { code }))
  expect(error).toMatchObject({ kind, code, message: expect.stringMatching(message) as string })
})
