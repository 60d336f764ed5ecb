import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { whoIsTooOld } from './api-level.ts'
import { findSocket, socketPlaces } from './find-socket.ts'

const home = '/home/someone'
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'find-'))
})
afterEach(() => rm(folder, { recursive: true }))

it('looks where --server says, else in CLOUDMOOR_HOME, and nowhere else then', () => {
  const env = { CLOUDMOOR_HOME: '/data/cm' }
  expect(socketPlaces({ server: 'unix:/x/y.sock', env, home })).toEqual([{ path: '/x/y.sock', from: 'server' }])
  expect(socketPlaces({ server: 'unix:///x/y.sock', env, home })).toEqual([{ path: '/x/y.sock', from: 'server' }])
  expect(socketPlaces({ env, home })).toEqual([{ path: '/data/cm/run/service.sock', from: 'home' }])
})

it('looks for a user service before the system service', () => {
  const system = { path: '/run/cloudmoor/service.sock', from: 'system' }
  expect(socketPlaces({ env: { XDG_RUNTIME_DIR: '/run/user/7' }, home })).toEqual([
    { path: '/run/user/7/cloudmoor/service.sock', from: 'user' },
    system,
  ])
  expect(socketPlaces({ env: {}, home })[0]?.path).toBe('/home/someone/.local/state/cloudmoor/run/service.sock')
  expect(socketPlaces({ env: { XDG_STATE_HOME: '/s' }, home })[0]?.path).toBe('/s/cloudmoor/run/service.sock')
})

it('finds a socket that takes connections, and only such', async () => {
  const hints = { server: join(folder, 'service.sock') }
  expect(await findSocket(hints)).toBeNull()
  const server = createServer((socket) => socket.end())
  await new Promise<void>((resolve) => server.listen(hints.server, resolve))
  expect(await findSocket(hints)).toEqual({ path: hints.server, from: 'server' })
  await new Promise((resolve) => server.close(resolve))
  expect(await findSocket(hints)).toBeNull()
})

it('tells which side is too old', () => {
  expect([whoIsTooOld(3, 3), whoIsTooOld(4, 3), whoIsTooOld(5, 3), whoIsTooOld(2, 3)]).toEqual([null, null, 'client', 'service'])
})
