import { chmod, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { makeFolders } from './make-folders.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'make-folders-'))
})
afterEach(() => rm(folder, { recursive: true }))

it('makes what is missing with the mode, and leaves what is there', async () => {
  await chmod(folder, 0o755)
  await makeFolders(join(folder, 'a/b/c'), 0o700)
  for (const name of ['a', 'a/b', 'a/b/c']) expect((await stat(join(folder, name))).mode & 0o777).toBe(0o700)
  await makeFolders(join(folder, 'a/b/c'), 0o755)
  await makeFolders(folder, 0o700)
  await makeFolders('/', 0o700)
  expect([(await stat(folder)).mode & 0o777, (await stat(join(folder, 'a/b/c'))).mode & 0o777]).toEqual([0o755, 0o700])
})

it('takes a link to a folder for one, and makes a folder once for several who ask', async () => {
  await symlink('.', join(folder, 'link'))
  await Promise.all(Array.from({ length: 8 }, () => makeFolders(join(folder, 'link/x/y'), 0o700)))
  expect((await stat(join(folder, 'x/y'))).isDirectory()).toBe(true)
})

it('refuses what is no folder', async () => {
  await writeFile(join(folder, 'file'), '')
  await symlink('absent', join(folder, 'dangling'))
  await expect(makeFolders(join(folder, 'file'), 0o700)).rejects.toMatchObject({ kind: 'exists' })
  await expect(makeFolders(join(folder, 'file/a/b'), 0o700)).rejects.toMatchObject({ kind: 'not-a-folder' })
  await expect(makeFolders(join(folder, 'dangling'), 0o700)).rejects.toMatchObject({ kind: 'exists' })
})

it.skipIf(process.platform !== 'linux')('refuses at once where no folder can be made', async () => {
  await expect(makeFolders('/proc/x/y/z', 0o700)).rejects.toMatchObject({
    kind: 'access',
    message: '/proc/x cannot be made: /proc takes no folders',
    hint: 'Choose another place.',
  })
})
