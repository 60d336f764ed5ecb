/** What the WebDAV connector makes of a bad way to a real Apache. A fault that never fired fails its test. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openConnector } from '../../src-service/drive/connectors/registry.ts'
import type { OpenConnector } from '../../src-service/drive/connectors/registry.ts'
import { findApache, startApache } from '../servers/apache.ts'
import type { ApacheServer } from '../servers/apache.ts'
import { startChaosProxy } from '../support/chaos-proxy.ts'
import type { ChaosProxy, Fate } from '../support/chaos-proxy.ts'
import { any, at, contentsAt, listAll, namesIn, put, readAll, refusal, signal } from './candidate.ts'

const found = await findApache()

describe('faults on the way to a WebDAV server', () => {
  if ('missing' in found) {
    test.skip(`Apache: ${found.missing}`, () => undefined)
    return
  }
  let server: ApacheServer
  let proxy: ChaosProxy
  let connector: OpenConnector
  beforeAll(async () => {
    server = await startApache(found)
    proxy = await startChaosProxy(new URL(server.basic).origin)
    const { username, password } = server
    connector = openConnector('webdav', {
      settings: { options: { url: `${proxy.endpoint}/dav`, username }, secret: (name) => (name === 'password' ? password : undefined) },
      remoteRoot: '',
      log: () => undefined,
    })
    await connector.makeFolder(at('folder'), {}, signal)
    for (let index = 0; index < 30; index++) await put(connector, at('folder', `file ${index}`), 'x')
  })
  afterAll(async () => {
    await connector.close()
    await proxy.close()
    await server.stop()
  })
  beforeEach(() => {
    proxy.decide = () => ({ kind: 'pass' })
    proxy.seen.length = 0
    proxy.struck = 0
  })
  /** The first requests of a method meet the fates, one each. */
  const strike = (method: string, ...fates: Fate[]) => {
    proxy.decide = (seen) => (seen.method === method ? (fates.shift() ?? { kind: 'pass' }) : { kind: 'pass' })
  }
  const count = (method: string) => proxy.seen.filter((seen) => seen.method === method).length

  test('a body that is cut goes on where it broke off', async () => {
    const contents = randomBytes(300_000)
    const { rev } = await put(connector, at('cut'), contents)
    strike('GET', { kind: 'cut', after: 100_000 }, { kind: 'cut', after: 50_000 })
    expect((await readAll(connector, at('cut'), 0, contents.length, rev)).equals(contents)).toBe(true)
    expect(proxy.struck).toBe(2)
  })

  test('a listing that is cut at its beginning is asked for again; later it is an error, and never a shorter one', async () => {
    strike('PROPFIND', { kind: 'cut', after: 100 })
    expect((await listAll(connector, at('folder'))).length).toBe(30)
    expect(proxy.struck).toBe(1)
    proxy.decide = () => ({ kind: 'cut', after: 3000 })
    expect(['offline', 'garbage']).toContain(await refusal(listAll(connector, at('folder'))))
  })

  test('a listing of something else is garbage, not an empty folder', async () => {
    const body = '<?xml version="1.0"?><D:multistatus xmlns:D="DAV:"></D:multistatus>'
    proxy.decide = () => ({ kind: 'answer', status: 207, body })
    expect(await refusal(listAll(connector, at('folder')))).toBe('garbage')
    proxy.decide = () => ({ kind: 'answer', status: 200, body: '<html>sign in to the network</html>' })
    expect(await refusal(connector.stat(at('folder'), 'any', signal))).toBe('garbage')
  })

  test('a server that asks for a pause gets it', async () => {
    const { rev } = await put(connector, at('slow'), 'contents')
    strike('GET', { kind: 'answer', status: 503, headers: { 'retry-after': '1' } })
    const begun = performance.now()
    expect((await readAll(connector, at('slow'), 0, 8, rev)).toString()).toBe('contents')
    expect(performance.now() - begun).toBeGreaterThan(900)
    expect(proxy.struck).toBe(1)
  })

  test('a change whose answer is lost is not repeated', async () => {
    const lost: Fate = { kind: 'lose-answer' }
    strike('PUT', lost)
    expect(await refusal(put(connector, at('put'), 'contents', any))).toBe('offline')
    expect(count('PUT')).toBe(1)
    expect(await contentsAt(connector, at('put'))).toBe('contents')
    strike('MOVE', lost)
    expect(await refusal(connector.move?.(at('put'), at('moved'), 'file', any, null, signal) ?? Promise.resolve())).toBe('offline')
    expect(count('MOVE')).toBe(1)
    expect(await contentsAt(connector, at('moved'))).toBe('contents')
    strike('MKCOL', lost)
    expect(await refusal(connector.makeFolder(at('made'), {}, signal))).toBe('offline')
    expect(count('MKCOL')).toBe(1)
    strike('DELETE', lost)
    expect(await refusal(connector.remove(at('moved'), 'file', any, signal))).toBe('offline')
    expect(count('DELETE')).toBe(1)
    expect(await namesIn(connector, at())).not.toContain('moved')
    expect(proxy.struck).toBe(4)
  })

  test('a connection that breaks before anything was done: reading is repeated, a change is left to who knows more', async () => {
    strike('PROPFIND', { kind: 'reset' })
    expect(await connector.stat(at('folder'), 'any', signal)).toMatchObject({ type: 'folder' })
    strike('PUT', { kind: 'reset' })
    expect(await refusal(put(connector, at('never'), 'x', any))).toBe('offline')
    expect(proxy.struck).toBe(2)
    expect(await namesIn(connector, at())).not.toContain('never')
  })
})
