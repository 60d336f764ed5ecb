import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { CloudError } from '../../../common/errors.ts'
import { FakeCloud } from '../../../../tests/support/fake-cloud.ts'
import { ManualClock } from '../../../../tests/support/manual-clock.ts'
import { calls, changes, cloud, end, rig, start } from '../../../../tests/support/one-rig.ts'

/** When an upload begins, the clock of the test says; the disk that it reads from is the machine's, which may have much to do. */
const uploadTakes = { timeout: 15_000 }

afterEach(end)

test('files and folders go to the provider, folders first', async () => {
  await start()
  rig.mkdir('a')
  rig.mkdir('a/b')
  await rig.write('a/b/one', '1')
  await rig.write('two', '22')
  await rig.drain()
  expect(cloud.dump()).toEqual({ 'a/': '', 'a/b/': '', 'a/b/one': '1', two: '22' })
  expect(rig.queue.status()).toEqual({ files: 0, bytes: 0, parked: 0, uploading: 0 })
  expect(calls(...changes)).toHaveLength(4)
})

test('a second version is sent over the first', async () => {
  await start()
  await rig.write('a', '1')
  await rig.drain()
  await rig.write('a', '2')
  await rig.drain()
  expect(cloud.text('a')).toBe('2')
  await rig.refresh()
  expect(rig.paths()).toEqual(['a'])
  expect(await rig.read('a')).toBe('2')
})

test('our modification time and mode stay what they were', async () => {
  await start(new FakeCloud({ posix: { mode: false, mtime: false } }))
  await rig.write('a', '1')
  rig.chmod('a', 0o600)
  const before = rig.tree.needNode(rig.nodeAt('a'))
  await rig.drain()
  await rig.refresh()
  expect(rig.tree.needNode(rig.nodeAt('a'))).toMatchObject({
    mtime_s: before.mtime_s,
    mtime_n: before.mtime_n,
    mode: 0o100600,
    id: before.id,
  })
})

test('create and delete cancel out', async () => {
  await start(new FakeCloud(), { writeBackSeconds: 60 })
  await rig.write('a', '1')
  rig.remove('a')
  rig.mkdir('d')
  await rig.drain()
  expect(calls(...changes)).toEqual(['makeFolder d'])
})

test('a save by way of a temporary file is one upload', async () => {
  await start()
  cloud.put('doc.txt', 'old')
  await rig.refresh()
  rig.queue.pause(true)
  await rig.write('doc.tmp', 'new')
  rig.rename('doc.tmp', 'doc.txt')
  rig.queue.pause(false)
  await rig.drain()
  expect(cloud.dump()).toEqual({ 'doc.txt': 'new' })
  expect(calls(...changes)).toEqual(['write doc.txt'])
})

test('a save by way of a backup name keeps both', async () => {
  await start()
  cloud.put('doc', 'old')
  await rig.refresh()
  rig.queue.pause(true)
  rig.rename('doc', 'doc~')
  await rig.write('doc', 'new')
  rig.queue.pause(false)
  await rig.drain()
  expect(cloud.dump()).toEqual({ doc: 'new', 'doc~': 'old' })
})

test('a quiet time is kept, and begins anew with a write', async () => {
  const clock = new ManualClock()
  await start(new FakeCloud(), { writeBackSeconds: 5, clock })
  await rig.write('a', '1')
  await clock.advance(4000)
  await rig.write('a', '2')
  await clock.advance(4900)
  expect(calls('write')).toEqual([])
  await clock.advance(200)
  await expect.poll(() => cloud.text('a'), uploadTakes).toBe('2')
  expect(calls('write')).toEqual(['write a'])
})

test('a file that never comes to rest is uploaded from a snapshot after ten minutes', async () => {
  const clock = new ManualClock()
  await start(new FakeCloud(), { writeBackSeconds: 5, clock })
  await rig.write('log', 'first')
  rig.contents.opened(rig.nodeAt('log'), true)
  await clock.advance(595_000)
  expect(calls('write')).toEqual([])
  await clock.advance(20_000)
  await expect.poll(() => cloud.text('log'), uploadTakes).toBe('first')
})

test('what was dirty before a start waits five seconds: somebody may still have it open', async () => {
  const clock = new ManualClock()
  await start(new FakeCloud(), { writeBackSeconds: 1, clock })
  await rig.write('a', '1')
  await rig.crash()
  await clock.advance(4900)
  expect(calls('write')).toEqual([])
  await clock.advance(200)
  await expect.poll(() => cloud.text('a'), uploadTakes).toBe('1')
})

test('a file open for writing waits until it is closed', async () => {
  await start()
  await rig.write('a', '1')
  rig.contents.opened(rig.nodeAt('a'), true)
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(calls('write')).toEqual([])
  expect(rig.queue.stateOf(rig.nodeAt('a'))?.state).toBe('queued')
  rig.contents.released(rig.nodeAt('a'), true)
  rig.queue.touched(rig.nodeAt('a'))
  await expect.poll(() => cloud.text('a')).toBe('1')
})

test('a file that is removed when all of it was sent is looked for after the provider has made it', async () => {
  await start()
  const write = cloud.write.bind(cloud)
  let sent = false
  // The provider makes the object a moment after it has the bytes, whether anybody listens or not.
  cloud.write = async (place, type, source, options, signal) => {
    const data = Buffer.from(await source.read(0, source.size, signal))
    sent = true
    const bytes = { size: data.length, read: (from: number, to: number) => Promise.resolve(data.subarray(from, to)) }
    const made = sleep(60).then(() => write(place, type, bytes, options, AbortSignal.timeout(5000)))
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(CloudError.from(signal.reason)))
    })
    return Promise.race([made, aborted])
  }
  await rig.write('a', 'text')
  await expect.poll(() => sent, { interval: 2 }).toBe(true)
  rig.remove('a')
  await rig.drain()
  await sleep(80)
  await rig.refreshAll()
  expect(rig.paths()).toEqual([])
  expect(cloud.dump()).toEqual({})
})

test('a write during an upload stops it; the next one sends the newer version', async () => {
  await start()
  let interrupt: (() => Promise<void>) | undefined = async () => {
    interrupt = undefined
    await rig.write('a', 'second')
  }
  await rig.write('a', 'first!')
  cloud.delay = async () => {
    if (calls('write').length > 0) await interrupt?.()
  }
  await expect.poll(() => rig.queue.transfers(1)[0]?.reason, { timeout: 3000 }).toBe('written to during the upload')
  expect(cloud.text('a')).toBeUndefined()
  await rig.drain()
  expect(cloud.dump()).toEqual({ a: 'second' })
})

test('attributes alone are sent without contents, or stay here where the provider has no place for them', async () => {
  await start()
  cloud.put('a', '1', { mode: 0o644 })
  await rig.refresh()
  rig.chmod('a', 0o600)
  await rig.drain()
  expect(cloud.objects.get('a')?.posix.mode).toBe(0o600)
  expect(calls(...changes)).toEqual(['setAttributes a'])
  await rig.close()
  await start(new FakeCloud({ posix: { setAttributes: false } }))
  cloud.put('a', '1')
  await rig.refresh()
  rig.chmod('a', 0o600)
  await rig.drain()
  expect(calls(...changes)).toEqual([])
})

test('links and hard links', async () => {
  await start()
  rig.symlink('s', 'target')
  await rig.write('a', 'text')
  await rig.drain()
  rig.link('a', 'b')
  await rig.drain()
  expect(cloud.objects.get('s')).toMatchObject({ type: 'symlink', posix: { target: Buffer.from('target') } })
  expect(cloud.dump()).toMatchObject({ a: 'text', b: 'text' })
  expect(calls('copy')).toEqual(['copy a b'])
  await rig.write('a', 'newer')
  await rig.drain()
  expect(cloud.dump()).toMatchObject({ a: 'newer', b: 'newer' })
})

test('what the provider cannot store stays here, and blocks nothing', async () => {
  await start(new FakeCloud({ posix: { symlinks: false } }))
  rig.symlink('s', 'target')
  await rig.drain()
  await rig.refresh()
  expect(rig.paths()).toEqual(['s'])
  expect(cloud.dump()).toEqual({})
})

test('confirmed waits for the provider, also while the file is open', async () => {
  await start(new FakeCloud(), { writeBackSeconds: 60 })
  await rig.write('a', '1')
  rig.contents.opened(rig.nodeAt('a'), true)
  await rig.queue.confirmed(rig.nodeAt('a'), AbortSignal.timeout(3000))
  expect(cloud.text('a')).toBe('1')
})

test('confirmed is satisfied by the version of the call, whatever is written after it', async () => {
  await start(new FakeCloud(), { writeBackSeconds: 60 })
  await rig.write('a', 'one')
  const node = rig.nodeAt('a')
  rig.contents.opened(node, true)
  const stop = new AbortController()
  const writing = (async () => {
    for (let index = 0; !stop.signal.aborted; index++) {
      await rig.contents.write(node, Buffer.from(String(index)), 0, String(index).length, 3, false)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  })()
  cloud.delay = () => new Promise((resolve) => setTimeout(resolve, 3))
  await rig.queue.confirmed(node, AbortSignal.timeout(5000))
  stop.abort()
  await writing
  expect(cloud.text('a')).toMatch(/^one/)
})

test('a file is never absent at the provider while it is saved', async () => {
  await start()
  cloud.put('doc', 'old')
  await rig.refresh()
  const seen = new Set<string | undefined>()
  cloud.delay = async () => {
    seen.add(cloud.text('doc'))
    await new Promise((resolve) => setImmediate(resolve))
  }
  await rig.write('doc.tmp', 'new')
  rig.rename('doc.tmp', 'doc')
  await rig.drain()
  seen.add(cloud.text('doc'))
  expect([...seen]).toEqual(['old', 'new'])
})
