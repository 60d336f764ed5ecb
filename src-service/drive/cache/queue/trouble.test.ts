import { afterEach, describe, expect, test } from 'vitest'
import { FakeCloud } from '../../../../tests/support/fake-cloud.ts'
import { calls, cloud, end, rig, start } from '../../../../tests/support/one-rig.ts'
import { CloudError } from '../../../common/errors.ts'

afterEach(end)

test('a lost answer is probed before anything is repeated', async () => {
  await start()
  const lost = new Set(['write a', 'makeFolder d', 'move m n'])
  cloud.fault = ({ operation, path, done }) =>
    done && lost.delete(`${operation} ${path}`) ? new CloudError('timeout', 'no answer') : undefined
  cloud.put('m', 'm')
  await rig.refresh()
  await rig.write('a', '1')
  rig.mkdir('d')
  rig.rename('m', 'n')
  await rig.drain()
  expect(lost.size).toBe(0)
  expect(cloud.dump()).toEqual({ a: '1', 'd/': '', n: 'm' })
  expect(calls('write', 'move').sort()).toEqual(['move m n', 'write a'])
  expect(rig.alerts).toEqual([])
  await rig.refresh()
  expect(rig.paths()).toEqual(['a', 'd/', 'n'])
})

test('a move whose answer was lost is known again, although the file was written to before it', async () => {
  const made = new FakeCloud()
  made.newRevs = true
  await start(made)
  await rig.write('a', '1')
  await rig.drain()
  const lost = new Set(['move a b'])
  cloud.fault = ({ operation, path, done }) =>
    done && lost.delete(`${operation} ${path}`) ? new CloudError('timeout', 'no answer') : undefined
  await rig.write('a', '22')
  rig.rename('a', 'b')
  await rig.drain()
  expect(lost.size).toBe(0)
  expect(rig.alerts).toEqual([])
  expect(cloud.dump()).toEqual({ b: '22' })
  expect(rig.paths()).toEqual(['b'])
})

test('offline counts no tries, and everything goes when the way is open', async () => {
  await start()
  cloud.online = false
  await rig.write('a', '1')
  await rig.write('b', '2')
  await expect.poll(() => rig.queue.conditions().map((one) => one.kind)).toEqual(['offline'])
  expect(rig.queue.canUpload()).toBe(false)
  expect(rig.queue.transfers(9).map((one) => one.tries)).toEqual([0, 0])
  cloud.online = true
  await rig.drain()
  expect(cloud.dump()).toEqual({ a: '1', b: '2' })
  expect(rig.queue.conditions()).toEqual([])
})

test('expired credentials stop the queue until they are given again', async () => {
  await start()
  let expired = true
  const check = cloud.check.bind(cloud)
  cloud.check = () => (expired ? Promise.reject(new CloudError('sign-in', 'expired')) : check())
  cloud.fault = () => (expired ? new CloudError('sign-in', 'expired') : undefined)
  await rig.write('a', '1')
  await expect.poll(() => rig.queue.conditions()).toEqual([{ kind: 'needs-sign-in', reason: 'expired' }])
  expired = false
  rig.queue.retry('all')
  await rig.drain()
  expect(cloud.text('a')).toBe('1')
})

test('what is refused again and again is parked; the others go on, and nothing is lost', async () => {
  await start()
  cloud.fault = ({ path }) => (path === 'bad' ? new CloudError('invalid', 'no such names') : undefined)
  await rig.write('bad', '1')
  await rig.write('good', '2')
  for (let round = 0; round < 5; round++) {
    await expect.poll(() => rig.queue.transfers(1)[0]?.tries).toBe(round + 1)
    rig.database.sql.prepare('UPDATE queue SET not_before = 0').run()
    rig.queue.pause(true)
    rig.queue.pause(false)
  }
  expect(rig.queue.status().parked).toBe(1)
  expect(rig.queue.stateOf(rig.nodeAt('bad'))).toEqual({ state: 'parked', reason: 'no such names' })
  await expect(rig.queue.drain(AbortSignal.timeout(1000))).rejects.toMatchObject({ kind: 'busy' })
  expect(cloud.dump()).toEqual({ good: '2' })
  expect(await rig.read('bad')).toBe('1')
  expect(rig.alerts).toHaveLength(1)
  cloud.fault = () => undefined
  rig.queue.retry('all')
  await rig.drain()
  expect(cloud.text('bad')).toBe('1')
})

test('Retry-After is kept', async () => {
  await start()
  let slow = true
  cloud.fault = ({ operation }) =>
    slow && operation === 'write' ? new CloudError('throttled', 'slow down', { retryAfterMs: 400 }) : undefined
  const before = Date.now()
  await rig.write('a', '1')
  await expect.poll(() => rig.queue.conditions()[0]?.kind).toBe('throttled')
  slow = false
  await expect.poll(() => cloud.text('a'), { timeout: 3000 }).toBe('1')
  expect(Date.now() - before).toBeGreaterThanOrEqual(395)
})

test('a name removed while its upload runs leaves nothing behind', async () => {
  await start()
  await rig.write('a', '1')
  let removed = false
  cloud.delay = async () => {
    await new Promise((resolve) => setImmediate(resolve))
    if (!removed && calls('write').length > 0) {
      removed = true
      rig.remove('a')
    }
  }
  await expect.poll(() => removed).toBe(true)
  await rig.drain()
  expect(cloud.dump()).toEqual({})
  await rig.refresh()
  expect(rig.paths()).toEqual([])
})

test('a name moved while its upload runs ends up where it belongs', async () => {
  await start()
  await rig.write('a', '1')
  let moved = false
  cloud.delay = async () => {
    await new Promise((resolve) => setImmediate(resolve))
    if (!moved && calls('write').length > 0) {
      moved = true
      rig.rename('a', 'b')
    }
  }
  await expect.poll(() => moved).toBe(true)
  await rig.drain()
  expect(cloud.dump()).toEqual({ b: '1' })
})

test('the queue goes on after a crash at any call', async () => {
  await start(new FakeCloud({ move: 'object', realFolders: false }))
  cloud.put('d/one', '1')
  cloud.put('d/two', '2')
  await rig.refreshAll()
  rig.rename('d', 'e')
  await rig.write('new', 'n')
  for (let crash = 0; crash < 12; crash++) {
    let left = crash
    let hit: (() => void) | undefined
    const reached = new Promise<void>((resolve) => (hit = resolve))
    cloud.delay = async () => {
      await new Promise((resolve) => setImmediate(resolve))
      if (left-- === 0) hit?.()
    }
    await Promise.race([reached, rig.queue.drain(AbortSignal.timeout(2000)).catch(() => undefined)])
    await rig.crash()
  }
  cloud.delay = () => Promise.resolve()
  await rig.drain()
  expect(cloud.dump()).toMatchObject({ 'e/one': '1', 'e/two': '2', new: 'n' })
  await rig.refreshAll()
  expect(await rig.dump()).toEqual({ 'e/': '', 'e/one': '1', 'e/two': '2', new: 'n' })
  expect(rig.alerts).toEqual([])
})

describe('resumable uploads', () => {
  test('go on after a crash from the part that was confirmed', async () => {
    await start(new FakeCloud({ resumableWrite: true }))
    await rig.write('a', 'long enough')
    await expect.poll(() => calls('part0')).toEqual(['part0 a'])
    await rig.crash()
    await rig.drain()
    expect(cloud.text('a')).toBe('long enough')
    expect(calls('part0', 'part1')).toEqual(['part0 a', 'part1 a'])
    expect(cloud.sessions.size).toBe(0)
  })

  test('a session of an older version is ended, and so is that of a file that was removed', async () => {
    await start(new FakeCloud({ resumableWrite: true }))
    cloud.fault = ({ operation }) => (operation === 'part0' ? new CloudError('unavailable', '503') : undefined)
    await rig.write('a', 'first version')
    await rig.write('b', 'to be removed')
    await expect.poll(() => cloud.sessions.size).toBe(2)
    await expect.poll(() => rig.queue.transfers(9).map((one) => one.tries)).toEqual([1, 1])
    cloud.fault = () => undefined
    await rig.write('a', 'second version')
    rig.remove('b')
    await rig.drain()
    expect(cloud.dump()).toEqual({ a: 'second version' })
    expect(cloud.sessions.size).toBe(0)
    expect(calls('abandon')).toHaveLength(2)
  })
})

test('ten thousand rows are taken without slowing down', async () => {
  await start()
  for (let folder = 0; folder < 20; folder++) {
    rig.mkdir(`d${folder}`)
    for (let file = 0; file < 100; file++) await rig.write(`d${folder}/f${file}`, '')
  }
  const insert = rig.database.sql.prepare('INSERT INTO queue (name, not_before) VALUES (?, ?)')
  rig.database.transaction(() => {
    for (let index = 0; index < 10_000; index++) insert.run(1_000_000 + index, Date.now() + 3_000_000)
  })
  const before = performance.now()
  await expect.poll(() => Object.keys(cloud.dump()).length, { timeout: 20_000 }).toBe(2020)
  expect(performance.now() - before).toBeLessThan(15_000)
  rig.database.sql.prepare('DELETE FROM queue').run()
}, 30_000)
