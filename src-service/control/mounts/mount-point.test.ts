import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../common/clock.ts'
import { checkCachePlace, checkMountPlace, lookAtMountPoint, normalizeMountPath } from './mount-point.ts'
import { fileSystemType, type MountEntry } from './mount-table.ts'

let home = ''
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'cm-point-'))
  await mkdir(join(home, 'empty'))
  await mkdir(join(home, 'full', 'x'), { recursive: true })
  await writeFile(join(home, 'file'), '')
  await symlink(join(home, 'empty'), join(home, 'link'))
})
afterAll(() => rm(home, { recursive: true }))

function look(path: string, table: readonly MountEntry[] = []): Promise<string> {
  return lookAtMountPoint(systemClock, table, path)
}

function ours(path: string, source = 'cloudmoor:x'): MountEntry {
  return { mountPoint: path, device: '0:99', type: fileSystemType, source }
}

describe('names', () => {
  test.each([
    ['/a/b/', '/a/b'],
    ['/a/./b/../c', '/a/c'],
  ])('%s is %s', (given, plain) => expect(normalizeMountPath(given)).toBe(plain))
  test.each(['a/b', '', '/', '/..', '/a\0b'])('%j is refused', (given) => expect(() => normalizeMountPath(given)).toThrow())

  test('a mount does not lie inside another one, nor around or inside what the service needs', () => {
    const check = (path: string) => () => checkMountPlace(path, ['/home/me/.local/state/cloudmoor'], ['/mnt/a'])
    expect(check('/mnt/a/b')).toThrow(expect.objectContaining({ code: 'PATH_OVERLAP' }))
    expect(check('/home/me')).toThrow(expect.objectContaining({ code: 'PATH_OVERLAP' }))
    expect(check('/home/me/.local/state/cloudmoor/x')).toThrow(expect.objectContaining({ code: 'PATH_OVERLAP' }))
    check('/mnt')()
    check('/home/me/cloud')()
  })

  test('a cache folder does not lie inside a mount, nor around it', () => {
    expect(() => checkCachePlace('/mnt/a/cache', ['/mnt/a'])).toThrow(expect.objectContaining({ code: 'PATH_OVERLAP' }))
    expect(() => checkCachePlace('/mnt', ['/mnt/a'])).toThrow(expect.objectContaining({ code: 'PATH_OVERLAP' }))
    checkCachePlace('/var/cache/x', ['/mnt/a'])
  })
})

describe('a look at the folder', () => {
  test('an empty folder is fine, also behind a link', async () => {
    expect(await look(join(home, 'empty'))).toBe(join(home, 'empty'))
    expect(await look(join(home, 'link'))).toBe(join(home, 'empty'))
  })

  test.each([
    ['missing', 'MOUNT_POINT_MISSING'],
    ['missing/too', 'MOUNT_POINT_MISSING'],
    ['file', 'MOUNT_POINT_MISSING'],
    ['full', 'MOUNT_POINT_NOT_EMPTY'],
  ])('%s: %s, with a hint', async (name, code) => {
    await expect(look(join(home, name))).rejects.toMatchObject({ code, hint: expect.stringMatching(/./) })
  })

  test('a taken one is refused by the table alone, whatever a look at it would do', async () => {
    await expect(look('/no/such/place', [ours('/no/such/place')])).rejects.toMatchObject({ code: 'MOUNT_POINT_TAKEN' })
    await expect(look('/no/such/place/below', [ours('/no/such/place')])).rejects.toMatchObject({ code: 'PATH_OVERLAP' })
    await expect(look(join(home, 'link'), [ours(join(home, 'empty'))])).rejects.toMatchObject({ code: 'MOUNT_POINT_TAKEN' })
  })
})
