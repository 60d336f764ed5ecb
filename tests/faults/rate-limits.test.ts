/** The requests of one account, by all its mounts together, as they are counted before the server. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { findMinio } from '../servers/minio.ts'
import type { ChaosProxy, Fate } from '../support/chaos-proxy.ts'
import { startChaosProxy } from '../support/chaos-proxy.ts'
import { minioCloud } from '../support/clouds.ts'
import { Installation } from '../support/installation.ts'

const found = await findMinio()
const perSecond = 20

if ('missing' in found) test.skip(`MinIO: ${found.missing}`, () => undefined)
else {
  const all = new AsyncDisposableStack()
  let proxy: ChaosProxy
  let installation: Installation
  let one: string
  let two: string
  let times: number[] = []

  const pass: Fate = { kind: 'pass' }
  const slowDown = (seconds: number): Fate => ({
    ...{ kind: 'answer', status: 503, headers: { 'retry-after': String(seconds) } },
    body: '<?xml version="1.0"?><Error><Code>SlowDown</Code></Error>',
  })
  const decide = (fate: () => Fate) => {
    proxy.decide = () => {
      times.push(performance.now())
      return fate()
    }
  }

  beforeAll(async () => {
    const cloud = await minioCloud()
    if ('missing' in cloud) throw new Error(cloud.missing)
    all.use(cloud)
    proxy = await startChaosProxy(String(cloud.account.set['endpoint']))
    all.defer(() => proxy.close())
    installation = all.use(await Installation.create())
    const set = { ...cloud.account.set, endpoint: proxy.endpoint, requestsPerSecond: String(perSecond) }
    await installation.account('work', { ...cloud.account, set })
    const flags = ['--option', 'writeBackSeconds=0']
    one = await installation.mount('one', 'work', ['--remote', 'one', ...flags])
    two = await installation.mount('two', 'work', ['--remote', 'two', ...flags])
    await writeFile(join(two, 'to-read'), 'read me')
    await installation.uploaded('two')
  })
  afterAll(() => all.disposeAsync())
  beforeEach(() => {
    times = []
    decide(() => pass)
  })

  const write = (folder: string, prefix: string, count: number) =>
    Promise.all(Array.from({ length: count }, (_, index) => writeFile(join(folder, `${prefix}${index}`), prefix)))

  /** The most requests within any so many seconds. */
  const busiest = (seconds: number) =>
    Math.max(...times.map((begin) => times.filter((time) => time >= begin && time < begin + seconds * 1000).length))

  test('two mounts that upload share the rate of the account, and use all of it', async () => {
    await Promise.all([write(one, 'a', 40), write(two, 'a', 40)])
    await Promise.all([installation.uploaded('one'), installation.uploaded('two')])
    const seconds = ((times.at(-1) ?? 0) - (times[0] ?? 0)) / 1000
    expect(times.length).toBeGreaterThanOrEqual(80)
    // A full bucket once, and a part in flight for each of what is changing hands.
    expect(busiest(3)).toBeLessThanOrEqual(4 * perSecond + 8)
    expect(times.length / seconds).toBeGreaterThan(perSecond * 0.7)
  })

  test('one mount alone gets nearly all of it', async () => {
    await sleep(1000)
    times = []
    await write(one, 'b', 60)
    await installation.uploaded('one')
    const seconds = ((times.at(-1) ?? 0) - (times[0] ?? 0)) / 1000
    expect(times.length / seconds).toBeGreaterThan(perSecond * 0.8)
    expect(busiest(3)).toBeLessThanOrEqual(4 * perSecond + 8)
  })

  test('who reads on one mount does not wait for the uploads of the other', async () => {
    await write(one, 'c', 100)
    await sleep(1000)
    const begun = performance.now()
    expect(await readFile(join(two, 'to-read'), 'utf8')).toBe('read me')
    expect(performance.now() - begun).toBeLessThan(1500)
    expect((await installation.mountStatus('one')).queue?.files).toBeGreaterThan(0)
    await installation.uploaded('one')
  })

  test('a pause that the server asks of one mount is kept by both, and both say so', async () => {
    let asked = 0
    decide(() => (asked === 0 ? slowDown(3) : pass))
    proxy.decide = ((inner) => (seen) => {
      const fate = inner(seen)
      if (fate.kind === 'answer') asked = performance.now()
      return fate
    })(proxy.decide)
    await write(one, 'd', 10)
    await expect.poll(() => asked, { timeout: 5000 }).toBeGreaterThan(0)
    await write(two, 'd', 10)
    for (const name of ['one', 'two']) {
      await expect
        .poll(async () => (await installation.mountStatus(name)).conditions, { timeout: 2500 })
        .toContainEqual(expect.objectContaining({ kind: 'throttled', until: expect.stringMatching(/^\d{4}-/) as unknown }))
    }
    expect(await installation.cloudmoor(['status'])).toMatch(/one +mounted, slowed until \d\d:\d\d:\d\d/)
    await Promise.all([installation.uploaded('one'), installation.uploaded('two')])
    const soon = times.filter((time) => time > asked + 100 && time < asked + 2900)
    expect(soon).toEqual([])
    expect((await installation.mountStatus('one')).conditions).toEqual([])
  })
}
