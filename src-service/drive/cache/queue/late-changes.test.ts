import { afterEach, describe, expect, test } from 'vitest'
import { CloudError } from '../../../common/errors.ts'
import { FakeCloud } from '../../../../tests/support/fake-cloud.ts'
import { calls, cloud, end, rig, start } from '../../../../tests/support/one-rig.ts'

afterEach(end)

const flat = (): FakeCloud => new FakeCloud({ move: 'object', realFolders: false })

/** From now on these changes get no answer; `arrive` lets them be done, which is long after. */
function holdBack(...changes: string[]): { readonly held: string[]; readonly arrive: () => void } {
  const held: string[] = []
  let arrive: () => void = () => undefined
  const arrived = new Promise<void>((resolve) => (arrive = resolve))
  cloud.late = ({ operation, path }) => {
    const change = `${operation} ${path}`
    if (!changes.includes(change) || held.includes(change)) return undefined
    held.push(change)
    return arrived
  }
  return { held, arrive: () => arrive() }
}

/** The next move is broken off between its halves: copied, and the old name is still there. */
function copiedOnly(from: string, to: string): void {
  cloud.fault = ({ operation, path, done }) => {
    const source = cloud.objects.get(from)
    if (operation !== 'move' || path !== `${from} ${to}` || done || source === undefined || cloud.objects.has(to)) return undefined
    cloud.put(to, source.data, source.posix)
    return new CloudError('unavailable', 'its old name could not be removed')
  }
}

/** Until the queue has looked for it once more, and has not found it. */
async function lookedFor(path: string): Promise<void> {
  const before = calls('stat').length
  await expect.poll(() => calls('stat').slice(before), { timeout: 5000 }).toContain(`stat ${path}`)
  await new Promise((resolve) => setTimeout(resolve, 20))
}

/** Starts with a short wait for changes that were not answered: what arrives late is let in by the test, not by the time. */
const begin = (made?: FakeCloud): Promise<void> => start(made, { deadlines: { metadataMs: 100, readMs: 5000, writeMs: 5000 } })

describe.each([
  ['the answer is lost', false],
  ['the process dies', true],
])('a change that is done after it was looked for, where %s', (_how, dies) => {
  const fate = async (): Promise<void> => {
    if (dies) await rig.crash()
  }

  test('a removed file does not come back', async () => {
    await begin()
    const { held, arrive } = holdBack('write a')
    await rig.write('a', '1')
    await expect.poll(() => held).toHaveLength(1)
    await fate()
    rig.remove('a')
    await lookedFor('a')
    arrive()
    await rig.drain()
    await rig.refresh()
    expect(cloud.dump()).toEqual({})
    expect(rig.paths()).toEqual([])
    expect(rig.alerts).toEqual([])
  })

  test('a file that was removed before the answer could come does not come back', async () => {
    await begin()
    const { held, arrive } = holdBack('write a')
    await rig.write('a', '1')
    await expect.poll(() => held).toHaveLength(1)
    rig.remove('a')
    await fate()
    await lookedFor('a')
    arrive()
    await rig.drain()
    await rig.refresh()
    expect(cloud.dump()).toEqual({})
    expect(rig.paths()).toEqual([])
  })

  test.each([undefined, '0'])('a newer version is no conflict with the late one, replacing %s', async (first) => {
    await begin()
    if (first !== undefined) cloud.put('a', first)
    await rig.refresh()
    const { held, arrive } = holdBack('write a')
    await rig.write('a', '1')
    await expect.poll(() => held).toHaveLength(1)
    await fate()
    await lookedFor('a')
    await rig.write('a', 'newer')
    await lookedFor('a')
    arrive()
    await rig.drain()
    await rig.refresh()
    expect(cloud.dump()).toEqual({ a: 'newer' })
    expect(rig.paths()).toEqual(['a'])
    expect(rig.alerts).toEqual([])
  })

  test.each(['late', 'at once', 'half'] as const)(
    'a file that was moved, and then removed, does not come back: moved %s',
    async (moved) => {
      await begin(Object.assign(flat(), { newRevs: true }))
      await rig.write('a', 'what was written')
      await rig.drain()
      const { held, arrive } = holdBack('move a b')
      if (moved === 'half') copiedOnly('a', 'b')
      rig.rename('a', 'b')
      await expect.poll(() => calls('move')).toContain('move a b')
      if (moved !== 'half') await expect.poll(() => held).toHaveLength(1)
      if (moved === 'at once') arrive()
      await fate()
      rig.remove('b')
      if (moved === 'late') await lookedFor('b')
      arrive()
      await rig.drain()
      await rig.refresh()
      expect(cloud.dump()).toEqual({})
      expect(rig.paths()).toEqual([])
      expect(rig.alerts).toEqual([])
    },
  )

  test('a late removal does not take what was made at the place since', async () => {
    await start(new FakeCloud({ conditionalRemove: 'none' }))
    cloud.put('a', '1')
    await rig.refresh()
    const { held, arrive } = holdBack('remove a')
    rig.remove('a')
    await expect.poll(() => held).toHaveLength(1)
    await fate()
    await rig.write('a', '2')
    setTimeout(arrive, 250)
    await rig.drain()
    await new Promise((resolve) => setTimeout(resolve, 300))
    await rig.refresh()
    expect(cloud.dump()).toEqual({ a: '2' })
    expect(rig.paths()).toEqual(['a'])
    expect(rig.alerts).toEqual([])
  })

  test('the late second half of a move does not take the same bytes, put at its old place since', async () => {
    // That half is two requests further on than the one that a short wait is for.
    await start(Object.assign(flat(), { contentRevs: true }), { deadlines: { metadataMs: 1000, readMs: 5000, writeMs: 5000 } })
    await rig.write('a', 'the same')
    await rig.drain()
    const removed = cloud.objects.get('a')?.rev
    copiedOnly('a', 'b')
    rig.rename('a', 'b')
    await expect.poll(() => cloud.objects.has('b')).toBe(true)
    await fate()
    await expect.poll(() => cloud.objects.has('a'), { timeout: 5000 }).toBe(false)
    await rig.write('a', 'the same')
    await new Promise((resolve) => setTimeout(resolve, 300))
    if (cloud.objects.get('a')?.rev === removed) cloud.drop('a')
    await rig.drain()
    await rig.refresh()
    expect(cloud.dump()).toEqual({ a: 'the same', b: 'the same' })
    expect(rig.paths()).toEqual(['a', 'b'])
    expect(rig.alerts).toEqual([])
  })

  test('a removed folder does not come back', async () => {
    await begin()
    const { held, arrive } = holdBack('makeFolder d')
    rig.mkdir('d')
    await expect.poll(() => held).toHaveLength(1)
    rig.remove('d')
    await fate()
    await expect.poll(() => calls('remove')).toContain('remove d')
    arrive()
    await rig.drain()
    await rig.refresh()
    expect(cloud.dump()).toEqual({})
    expect(rig.paths()).toEqual([])
  })

  test('copies of a folder that went on are removed', async () => {
    await begin(flat())
    cloud.put('d/one', '1')
    cloud.put('d/deep/two', '2')
    await rig.refreshAll()
    const { held, arrive } = holdBack('copy d/one e/one')
    rig.rename('d', 'e')
    await expect.poll(() => held).toHaveLength(1)
    await fate()
    rig.rename('e', 'f')
    await lookedFor('e/one')
    arrive()
    await rig.drain()
    await rig.refreshAll()
    expect(cloud.dump()).toEqual({ 'f/': '', 'f/deep/': '', 'f/deep/two': '2', 'f/one': '1' })
    expect(rig.paths()).toEqual(['f/', 'f/deep/', 'f/deep/two', 'f/one'])
    expect(rig.alerts).toEqual([])
  })

  test('folders that are exchanged, and then moved on, leave nothing under a name of our own', async () => {
    await begin(flat())
    cloud.put('x/in', 'was x')
    cloud.put('y/in', 'was y')
    await rig.refreshAll()
    const swaps: string[] = []
    let arrive: () => void = () => undefined
    const arrived = new Promise<void>((resolve) => (arrive = resolve))
    cloud.late = ({ operation, path }) => {
      if (operation !== 'copy' || !path.includes('.cloudmoor-swap-') || swaps.length > 0) return undefined
      swaps.push(path.split(' ')[1] ?? '')
      return arrived
    }
    rig.exchange('x', 'y')
    await expect.poll(() => swaps).toHaveLength(1)
    await fate()
    rig.exchange('x', 'y')
    await lookedFor(swaps[0] ?? '')
    arrive()
    await rig.drain()
    await rig.refreshAll()
    expect(cloud.text('x/in')).toBe('was x')
    expect(cloud.text('y/in')).toBe('was y')
    expect(Object.keys(cloud.dump()).filter((path) => path.includes('swap'))).toEqual([])
    expect(rig.paths()).toEqual(['x/', 'x/in', 'y/', 'y/in'])
  })

  test('a copy of a version that was replaced meanwhile is replaced too', async () => {
    await begin(flat())
    cloud.put('d/one', '1', { mtime: { sec: 1_700_000_000, nsec: 123_456_789 } })
    await rig.refreshAll()
    const { held, arrive } = holdBack('copy d/one e/one')
    rig.rename('d', 'e')
    await expect.poll(() => held).toHaveLength(1)
    arrive()
    await fate()
    cloud.put('d/one', 'newer', { mtime: { sec: 1_700_000_001, nsec: 123_456_789 } })
    await rig.drain()
    await rig.refreshAll()
    expect(cloud.text('e/one') ?? cloud.text('d/one')).toBe('newer')
    expect(Object.values(await rig.dump()).filter((text) => text !== '')).toEqual(['newer'])
  })
})

test('a file that is removed before its last byte was sent is not waited for', async () => {
  await start(new FakeCloud(), { deadlines: { metadataMs: 60_000, readMs: 5000, writeMs: 5000 } })
  cloud.fault = ({ operation }) => {
    if (operation === 'part0') rig.remove('a')
    return undefined
  }
  await rig.write('a', 'two halves')
  await expect.poll(() => calls('part0')).toHaveLength(1)
  await rig.drain(2000)
  expect(cloud.dump()).toEqual({})
})

test('what an unanswered move put into a folder that goes elsewhere is known as ours', async () => {
  await start(Object.assign(flat(), { contentRevs: true }), { deadlines: { metadataMs: 1000, readMs: 5000, writeMs: 5000 } })
  rig.mkdir('d')
  await rig.write('a', '1')
  await rig.write('d/x', '2')
  await rig.drain()
  copiedOnly('a', 'd/a')
  rig.rename('a', 'd/a')
  await expect.poll(() => cloud.objects.has('d/a')).toBe(true)
  rig.queue.pause(true)
  rig.rename('d', 'e')
  rig.remove('e/a')
  rig.queue.pause(false)
  await rig.drain()
  await rig.refreshAll()
  expect(Object.fromEntries(Object.entries(cloud.dump()).filter(([path]) => !path.endsWith('/')))).toEqual({ 'e/x': '2' })
  expect(rig.paths()).toEqual(['e/', 'e/x'])
  expect(rig.alerts).toEqual([])
})

test.each(['at once', 'late'] as const)(
  'a file that replaces another with the same bytes is not lost: moved %s, without an answer',
  async (when) => {
    await start(Object.assign(flat(), { contentRevs: true }), { deadlines: { metadataMs: 100, readMs: 5000, writeMs: 5000 } })
    await rig.write('a', 'the same')
    await rig.write('b', 'the same')
    await rig.drain()
    await rig.contents.evict(rig.nodeAt('a'))
    let moves = 0
    cloud.fault = ({ operation, done }) => {
      if (operation !== 'move') return undefined
      if (!done) moves += 1
      if (when === 'late' && moves === 2) cloud.drop('a')
      return moves === 1 && done === (when === 'at once') ? new CloudError('unavailable', 'no answer') : undefined
    }
    rig.rename('a', 'b')
    await rig.drain()
    await rig.refresh()
    expect(moves).toBe(when === 'late' ? 2 : 1)
    expect(cloud.dump()).toEqual({ b: 'the same' })
    expect(rig.paths()).toEqual(['b'])
    expect(rig.alerts).toEqual([])
  },
)
