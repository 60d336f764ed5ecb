import { afterEach, describe, expect, test } from 'vitest'
import { FakeCloud } from '../../../../tests/support/fake-cloud.ts'
import { ManualClock } from '../../../../tests/support/manual-clock.ts'
import { SyncRig, type SyncRigOptions } from '../../../../tests/support/sync-rig.ts'
import { CloudError } from '../../../common/errors.ts'

let rig: SyncRig
let cloud: FakeCloud

async function start(made: FakeCloud = new FakeCloud(), options: SyncRigOptions = {}): Promise<void> {
  cloud = made
  rig = await SyncRig.open(cloud, options)
  await rig.refresh()
}

afterEach(async () => {
  await rig.close()
})

function calls(...operations: string[]): string[] {
  return cloud.calls.filter((call) => operations.includes(call.split(' ')[0] ?? ''))
}

const changes = ['write', 'makeFolder', 'move', 'copy', 'remove', 'setAttributes']

describe('uploads', () => {
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
    await expect.poll(() => cloud.text('a')).toBe('2')
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
    await expect.poll(() => cloud.text('log')).toBe('first')
  })

  test('what was dirty before a start waits five seconds: somebody may still have it open', async () => {
    const clock = new ManualClock()
    await start(new FakeCloud(), { writeBackSeconds: 1, clock })
    await rig.write('a', '1')
    await rig.crash()
    await clock.advance(4900)
    expect(calls('write')).toEqual([])
    await clock.advance(200)
    await expect.poll(() => cloud.text('a')).toBe('1')
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
})

describe('moves', () => {
  test('a rename is a move, and renames of a rename are one', async () => {
    await start()
    cloud.put('a', '1')
    cloud.put('d/x', 'x')
    await rig.refresh()
    rig.queue.pause(true)
    rig.rename('a', 'b')
    rig.rename('b', 'd/c')
    rig.rename('d', 'e')
    rig.queue.pause(false)
    await rig.drain()
    expect(cloud.dump()).toEqual({ 'e/': '', 'e/c': '1', 'e/x': 'x' })
    expect(calls(...changes).sort()).toEqual(['move a e/c', 'move d e'])
  })

  test.each(['tree', 'object', 'none'] as const)('renames where the provider moves: %s', async (move) => {
    await start(new FakeCloud({ move, realFolders: move !== 'object' }))
    cloud.put('d/one', '1')
    cloud.put('d/deep/two', '2')
    cloud.put('d/deep/three', '3')
    cloud.put('plain', 'p')
    await rig.refresh()
    await rig.refresh('d')
    rig.rename('d', 'e')
    rig.rename('plain', 'moved')
    expect(await rig.read('e/one')).toBe('1')
    await rig.drain()
    expect(Object.keys(cloud.dump()).filter((path) => !path.endsWith('/'))).toEqual(['e/deep/three', 'e/deep/two', 'e/one', 'moved'])
    await rig.refreshAll()
    expect(rig.paths()).toEqual(['e/', 'e/deep/', 'e/deep/three', 'e/deep/two', 'e/one', 'moved'])
    expect(await rig.read('e/deep/two')).toBe('2')
  })

  test.each(['tree', 'object', 'none'] as const)('two names exchanged, also folders, where the provider moves: %s', async (move) => {
    await start(new FakeCloud({ move, realFolders: move !== 'object' }))
    cloud.put('a', 'was a')
    cloud.put('b', 'was b')
    cloud.put('x/in', 'was x')
    cloud.put('y/in', 'was y')
    await rig.refreshAll()
    rig.exchange('a', 'b')
    rig.exchange('x', 'y')
    await rig.drain()
    const files = Object.entries(cloud.dump()).filter(([path]) => !path.endsWith('/'))
    expect(Object.fromEntries(files)).toEqual({ a: 'was b', b: 'was a', 'x/in': 'was y', 'y/in': 'was x' })
    await rig.refreshAll()
    expect(rig.paths()).toEqual(['a', 'b', 'x/', 'x/in', 'y/', 'y/in'])
  })

  test('a folder moved into what was inside it', async () => {
    await start()
    cloud.put('out/in/file', '1')
    await rig.refreshAll()
    rig.queue.pause(true)
    rig.rename('out/in', 'in')
    rig.rename('out', 'in/out')
    rig.rename('in', 'out')
    rig.queue.pause(false)
    await rig.drain()
    expect(Object.keys(cloud.dump())).toEqual(['out/', 'out/file', 'out/out/'])
  })

  test('new files of a renamed folder go to the new place', async () => {
    await start(new FakeCloud({ move: 'object', realFolders: false }))
    cloud.put('d/old', '1')
    await rig.refreshAll()
    rig.rename('d', 'e')
    await rig.write('e/new', '2')
    await rig.write('e/old', '1 changed')
    await rig.drain()
    expect(cloud.dump()).toMatchObject({ 'e/old': '1 changed', 'e/new': '2' })
    expect(cloud.text('d/old')).toBeUndefined()
  })

  test('what another client put into the old folder meanwhile is left alone', async () => {
    await start(new FakeCloud({ move: 'object', realFolders: false }))
    cloud.put('d/old', '1')
    await rig.refreshAll()
    cloud.put('d/foreign', 'theirs')
    rig.rename('d', 'e')
    await rig.drain()
    expect(cloud.text('e/old')).toBe('1')
    expect(cloud.text('d/foreign') ?? cloud.text('e/foreign')).toBe('theirs')
    await rig.refreshAll()
    const found = Object.values(await rig.dump())
    expect(found.filter((text) => text === 'theirs')).toHaveLength(1)
  })
})

describe('removals', () => {
  test('a tree goes from the leaves upward', async () => {
    await start()
    cloud.put('d/e/f', '1')
    cloud.put('d/g', '1')
    await rig.refreshAll()
    for (const path of ['d/e/f', 'd/e', 'd/g', 'd']) rig.remove(path)
    await rig.drain()
    expect(cloud.dump()).toEqual({})
    expect(rig.database.sql.prepare('SELECT count(*) AS n FROM remote').get()).toEqual({ n: 0 })
  })

  test('a folder with something unknown in it comes back', async () => {
    await start()
    cloud.put('d/a', '1')
    await rig.refreshAll()
    cloud.put('d/theirs', '2')
    rig.remove('d/a')
    rig.remove('d')
    await rig.drain()
    expect(cloud.dump()).toEqual({ 'd/': '', 'd/theirs': '2' })
    await rig.refreshAll()
    expect(rig.paths()).toEqual(['d/', 'd/theirs'])
    expect(rig.alerts).toHaveLength(1)
  })

  test('a file that another client changed comes back, with the folders above it', async () => {
    await start()
    cloud.put('d/e/a', '1')
    await rig.refreshAll()
    cloud.put('d/e/a', 'newer')
    for (const path of ['d/e/a', 'd/e', 'd']) rig.remove(path)
    await rig.drain()
    expect(cloud.text('d/e/a')).toBe('newer')
    expect(rig.paths()).toEqual(['d/', 'd/e/', 'd/e/a'])
    expect(await rig.read('d/e/a')).toBe('newer')
  })

  test('a folder removed and made again', async () => {
    await start()
    cloud.put('d/a', '1')
    await rig.refreshAll()
    rig.remove('d/a')
    rig.remove('d')
    rig.mkdir('d')
    await rig.write('d/b', '2')
    await rig.drain()
    expect(cloud.dump()).toEqual({ 'd/': '', 'd/b': '2' })
  })
})

describe('conflicts', () => {
  test('both versions survive: theirs keeps the name', async () => {
    await start()
    cloud.put('doc.txt', 'base')
    await rig.refresh()
    cloud.put('doc.txt', 'theirs')
    await rig.write('doc.txt', 'ours')
    await rig.drain()
    const paths = rig.paths()
    expect(paths).toHaveLength(2)
    expect(paths[0]).toMatch(/^doc \(conflict desk \d{4}-\d\d-\d\d \d{6}\)\.txt$/)
    expect(await rig.read('doc.txt')).toBe('theirs')
    expect(cloud.dump()).toEqual({ 'doc.txt': 'theirs', [paths[0] ?? '']: 'ours' })
    expect(rig.alerts).toHaveLength(1)
    expect(rig.told).toContain('doc.txt')
  })

  test('two clients make the same name', async () => {
    await start()
    cloud.put('a', 'theirs')
    await rig.write('a', 'ours')
    await rig.drain()
    expect(Object.values(cloud.dump()).sort()).toEqual(['ours', 'theirs'])
    expect(cloud.text('a')).toBe('theirs')
  })

  test('the same contents are no conflict', async () => {
    await start()
    cloud.put('a', 'same')
    await rig.write('a', 'same')
    await rig.drain()
    expect(cloud.dump()).toEqual({ a: 'same' })
    expect(rig.alerts).toEqual([])
  })

  test('a file that was deleted there and changed here is uploaded as new', async () => {
    await start()
    cloud.put('a', '1')
    await rig.refresh()
    cloud.drop('a')
    await rig.write('a', 'edited')
    await rig.drain()
    expect(cloud.dump()).toEqual({ a: 'edited' })
  })

  test('a folder that was deleted there and written into here is made again', async () => {
    await start()
    cloud.put('d/e/a', '1')
    cloud.put('d/other', '1')
    await rig.refreshAll()
    cloud.drop('d')
    await rig.write('d/e/b', 'new')
    await rig.drain()
    expect(cloud.text('d/e/b')).toBe('new')
    await rig.refreshAll()
    expect(rig.paths()).toEqual(['d/', 'd/e/', 'd/e/b'])
  })

  test('two clients make the same folder: it is one', async () => {
    await start()
    cloud.put('d/theirs', '1')
    rig.mkdir('d')
    await rig.write('d/ours', '2')
    await rig.drain()
    expect(cloud.dump()).toEqual({ 'd/': '', 'd/ours': '2', 'd/theirs': '1' })
    await rig.refreshAll()
    expect(rig.paths()).toEqual(['d/', 'd/ours', 'd/theirs'])
  })

  test('a rename to a name that another client took', async () => {
    await start()
    cloud.put('a', 'ours')
    await rig.refresh()
    cloud.put('b', 'theirs')
    rig.rename('a', 'b')
    await rig.drain()
    expect(Object.values(cloud.dump()).sort()).toEqual(['ours', 'theirs'])
    expect(cloud.text('b')).toBe('theirs')
    expect(cloud.text('a')).toBeUndefined()
  })

  test('a file of ours and a folder of theirs', async () => {
    await start()
    cloud.put('x/in', 'theirs')
    await rig.write('x', 'ours')
    await rig.drain()
    await rig.refreshAll()
    expect(cloud.text('x/in')).toBe('theirs')
    expect(Object.values(await rig.dump()).sort()).toEqual(['', 'ours', 'theirs'])
  })

  test('a rename over a file that another client changed', async () => {
    await start()
    cloud.put('doc', 'base')
    await rig.refresh()
    cloud.put('doc', 'theirs')
    await rig.write('tmp', 'ours')
    rig.rename('tmp', 'doc')
    await rig.drain()
    expect(Object.values(cloud.dump()).sort()).toEqual(['ours', 'theirs'])
    expect(await rig.read('doc')).toBe('theirs')
  })

  test('a rename of a file that another client changed moves its newer version', async () => {
    await start()
    cloud.put('a', 'base')
    await rig.refresh()
    cloud.put('a', 'theirs')
    rig.rename('a', 'b')
    await rig.drain()
    expect(cloud.dump()).toEqual({ b: 'theirs' })
    expect(await rig.read('b')).toBe('theirs')
  })
})

describe('errors', () => {
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
})

describe('crashes', () => {
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
