import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { allMounts } from '../users/principal.ts'
import type { Principal } from '../users/principal.ts'
import { checkPlace } from './place-rules.ts'

let folder: string
const operator: Principal = { name: 'x', role: 'operator', scope: allMounts, origin: 'socket', ended: null }
const refused = { kind: 'permission', code: 'PATH_NOT_ALLOWED' }

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'places-'))
  await mkdir(join(folder, 'mounts'))
  await symlink('/etc', join(folder, 'mounts', 'link'))
  await symlink(join(folder, 'mounts'), join(folder, 'alias'))
})
afterEach(() => rm(folder, { recursive: true }))

const check = (path: string, principal = operator, roots = join(folder, 'mounts')) =>
  checkPlace({ get: () => Promise.resolve(roots) }, principal, 'mountRoots', path)

it('others than admins choose below the roots alone, also through links', async () => {
  await check(join(folder, 'mounts', 'a'))
  await check(join(folder, 'mounts', 'a', 'not', 'there'))
  await check(join(folder, 'alias', 'a'))
  await check('')
  for (const path of [
    '/etc',
    join(folder, 'mounts'),
    join(folder, 'mounts2', 'a'),
    join(folder, 'mounts', '..', 'x'),
    join(folder, 'mounts', 'link', 'x'),
    'mounts/a',
  ])
    await expect(check(path)).rejects.toMatchObject(refused)
  await expect(check(join(folder, 'mounts', 'a'), operator, '')).rejects.toMatchObject(refused)
  await check('/etc', { ...operator, role: 'admin' })
})
