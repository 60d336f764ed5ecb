import { chmod, mkdir, mkdtemp, rm, stat, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkSocketPath, ensurePrivateFolder, findPlaces, preparePlaces, whyVolatile } from './paths.ts'

const home = '/home/someone'

describe('findPlaces', () => {
  it('follows XDG for a user service', () => {
    const env = { XDG_STATE_HOME: '/data/state', XDG_RUNTIME_DIR: '/run/user/1000' }
    const places = findPlaces({ env, home, system: false })
    expect(places).toMatchObject({ kind: 'user', state: '/data/state/cloudmoor', socket: '/run/user/1000/cloudmoor/service.sock' })
  })

  it('keeps sockets in the state where there is no runtime folder', () => {
    const places = findPlaces({ env: {}, home, system: false })
    expect(places.socket).toBe('/home/someone/.local/state/cloudmoor/run/service.sock')
  })

  it('takes relative XDG folders as not set', () => {
    expect(findPlaces({ env: { XDG_STATE_HOME: 'state' }, home, system: false }).state).toBe('/home/someone/.local/state/cloudmoor')
  })

  it('has fixed places for a system service', () => {
    const places = findPlaces({ env: {}, home, system: true })
    expect(places).toMatchObject({ kind: 'system', state: '/var/lib/cloudmoor', socket: '/run/cloudmoor/service.sock' })
  })

  it('moves everything with CLOUDMOOR_HOME, wherever that is', () => {
    const places = findPlaces({ env: { CLOUDMOOR_HOME: '/tmp/x', XDG_RUNTIME_DIR: '/run/user/1' }, home, system: false })
    expect(places).toMatchObject({ state: '/tmp/x', socket: '/tmp/x/run/service.sock', database: '/tmp/x/service.db' })
  })

  it.each([
    ['a cache folder', { XDG_CACHE_HOME: '/c', XDG_STATE_HOME: '/c/state' }],
    ['the default cache folder', { XDG_STATE_HOME: '/home/someone/.cache' }],
    ['a temporary folder', { XDG_STATE_HOME: '/var/tmp' }],
  ])('refuses a state under %s', (_, env) => {
    expect(() => findPlaces({ env, home, system: false })).toThrow(/files are cleaned away/)
  })

  it('refuses a home whose sockets have too long paths, and says so', () => {
    expect(() => findPlaces({ env: { CLOUDMOOR_HOME: `/${'x'.repeat(90)}` }, home, system: false })).toThrow(/more than 107 bytes/)
  })
})

it('counts a socket path in bytes', () => {
  expect(() => checkSocketPath(`/${'é'.repeat(53)}`)).not.toThrow()
  expect(() => checkSocketPath(`/${'é'.repeat(54)}`)).toThrow(/107 bytes/)
})

it('knows folders by name, not by beginning', () => {
  expect(whyVolatile('/tmpfiles/x', { env: {}, home })).toBeNull()
  expect(whyVolatile('/dev/shm/x', { env: {}, home })).toBe('/dev/shm')
})

describe('private folders', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'paths-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  it('are made, or closed to others', async () => {
    await mkdir(join(folder, 'open'))
    await chmod(join(folder, 'open'), 0o777)
    await ensurePrivateFolder(join(folder, 'open'), 0o700)
    expect((await stat(join(folder, 'open'))).mode & 0o777).toBe(0o700)
    const places = findPlaces({ env: { CLOUDMOOR_HOME: join(folder, 'home') }, home, system: false })
    await preparePlaces(places)
    for (const path of [places.state, places.run, places.workers, places.mounts]) expect((await stat(path)).mode & 0o777).toBe(0o700)
  })

  it('are refused as a symbolic link', async () => {
    await symlink(folder, join(folder, 'link'))
    await expect(ensurePrivateFolder(join(folder, 'link'), 0o700)).rejects.toMatchObject({ kind: 'access' })
  })

  it.skipIf(process.getuid?.() !== 0)('are refused when they belong to another user', async () => {
    await mkdir(join(folder, 'theirs'))
    const { chown } = await import('node:fs/promises')
    await chown(join(folder, 'theirs'), 65534, 65534)
    await expect(ensurePrivateFolder(join(folder, 'theirs'), 0o700)).rejects.toThrow(/belongs to user 65534/)
  })
})
