import { describe, expect, test } from 'vitest'
import { CloudError } from '../../../common/errors.ts'
import { RenewedCredentials } from './credentials.ts'
import type { LoadedCredentials } from './credentials.ts'

/** A source whose credentials live for 10 minutes each, and a clock that stands until it is moved. */
function rig() {
  const state = { now: 0, loads: 0, fails: false }
  const load = async (): Promise<LoadedCredentials> => {
    state.loads++
    await Promise.resolve()
    if (state.fails) throw new CloudError('offline', 'the source is away')
    return { accessKeyId: `key-${state.loads}`, secretAccessKey: 'x', expiration: state.now + 600_000 }
  }
  const source = new RenewedCredentials(load, () => state.now)
  return { state, source, key: async () => (await source.current())?.accessKeyId }
}

describe('credentials that end', () => {
  test('are loaded once for all who wait', async () => {
    const { state, key } = rig()
    expect(await Promise.all(Array.from({ length: 50 }, key))).toEqual(Array.from({ length: 50 }, () => 'key-1'))
    expect(state.loads).toBe(1)
  })

  test('are renewed before their end, behind those who ask', async () => {
    const { state, source, key } = rig()
    await key()
    state.now = 299_000
    await key()
    expect(state.loads).toBe(1)
    state.now = 301_000
    const asked = [source.current(), source.current()]
    expect(asked).toEqual([expect.objectContaining({ accessKeyId: 'key-1' }), expect.objectContaining({ accessKeyId: 'key-1' })])
    await Promise.resolve()
    await expect.poll(key).toBe('key-2')
    expect(state.loads).toBe(2)
  })

  test('serve on while their source is away, and no longer than they hold', async () => {
    const { state, key } = rig()
    await key()
    state.fails = true
    state.now = 400_000
    expect(await key()).toBe('key-1')
    state.now = 560_000
    expect(await key()).toBe('key-1')
    state.now = 580_000
    await expect(key()).rejects.toMatchObject({ kind: 'offline' })
    state.fails = false
    expect(await key()).toMatch(/^key-\d$/)
  })

  test('are asked for anew when the server calls them expired, but not over and over', async () => {
    const { state, source, key } = rig()
    await key()
    expect(source.expired()).toBe(false)
    state.now = 60_000
    expect(source.expired()).toBe(true)
    expect(await key()).toBe('key-2')
    expect(source.expired()).toBe(false)
  })
})
