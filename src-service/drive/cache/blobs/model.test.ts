import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { timesOf } from '../../../../tests/support/random.ts'
import { CloudError, isUnknown } from '../../../common/errors.ts'
import { blockSize } from './block-map.ts'
import { Fixture, memoryFolder, pattern, signal } from '../../../../tests/support/blob-rig.ts'

/** Random histories against plain Buffers. */
const runs = timesOf(500)

interface ModelFile {
  node: number
  data: Buffer
}

const place = fc.oneof(
  fc.nat(5 * blockSize),
  fc.tuple(fc.nat(5), fc.integer({ min: -2, max: 2 })).map(([block, off]) => Math.max(0, block * blockSize + off)),
)
const length = fc.oneof(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 1, max: 3 * blockSize }))
const file = fc.nat(2)
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('write' as const), file, at: place, length, seed: fc.nat(1000) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('writes' as const),
      file,
      writes: fc.array(fc.tuple(place, length, fc.nat(1000)), { minLength: 2, maxLength: 5 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('truncate' as const), file, size: fc.oneof(place, fc.constant(0)) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('allocate' as const), file, mode: fc.constantFrom(0, 1, 3, 0x10, 0x11), at: place, length }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('copy' as const), file, to: file, at: place, toAt: place, length }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('read' as const), file, at: place, length }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('evict' as const), file }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('upload' as const), file, snapshot: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('overtaken' as const), file, snapshot: fc.boolean(), at: place, length, seed: fc.nat(1000) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('sync' as const), file }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('fetch' as const), file }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('open' as const), file, writable: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('release' as const), file }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('settle' as const), file, undone: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('replace' as const), file }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('faults' as const), after: fc.nat(6), count: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('pause' as const), ms: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const), crash: fc.boolean() }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

const history = fc.record({
  sizes: fc.tuple(place, place, place),
  isNew: fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()),
  chunk: fc.integer({ min: 100, max: 200_000 }),
  steps: fc.array(step, { minLength: 1, maxLength: 25 }),
})

let fixture: Fixture
/** A history that failed leaves a fixture that says nothing about the next one. */
let usable = false
beforeAll(async () => {
  fixture = await Fixture.make({}, await memoryFolder())
  await fixture.open()
  usable = true
})
afterAll(async () => fixture.end())

async function fresh(): Promise<void> {
  if (!usable) {
    await fixture.end().catch(() => undefined)
    fixture = await Fixture.make({}, await memoryFolder())
    await fixture.open()
  }
  usable = false
}

class History {
  readonly files: ModelFile[] = []
  readonly opened: { node: number; writable: boolean }[] = []
  faultAfter = Infinity
  faults = 0

  /** Only a provider that cannot be reached excuses a failure. */
  async mayFail(work: () => Promise<unknown>): Promise<boolean> {
    const before = this.faults
    try {
      await work()
      return true
    } catch (error) {
      const known = CloudError.from(error)
      if (isUnknown(known.kind) && (before > this.faults || this.faults > 0)) return false
      throw error
    }
  }
}

function grown(data: Buffer, size: number): Buffer {
  return size <= data.length ? data : Buffer.concat([data, Buffer.alloc(size - data.length)])
}

function put(data: Buffer, at: number, bytes: Buffer): Buffer {
  const result = grown(Buffer.from(data), at + bytes.length)
  bytes.copy(result, at)
  return result
}

function same(got: Buffer, wanted: Buffer, what: string): void {
  if (got.equals(wanted)) return
  const at = wanted.findIndex((byte, index) => got[index] !== byte)
  throw new Error(`${what}: ${got.length} bytes for ${wanted.length}, first difference at ${at}: ${got[at]} for ${wanted[at]}`)
}

async function reads(model: ModelFile, at: number, length: number): Promise<void> {
  const got = await fixture.read(model.node, at, length)
  same(got, model.data.subarray(at, at + length), `read of node ${model.node} at ${at}`)
}

async function run(state: History, one: Step): Promise<void> {
  const contents = fixture.need()
  const model = 'file' in one ? state.files[one.file] : state.files[0]
  if (model === undefined) throw new Error('no such file')
  const { node } = model
  switch (one.kind) {
    case 'write': {
      const bytes = pattern(one.length, one.seed)
      expect(await fixture.write(node, one.at, bytes)).toBe(bytes.length)
      model.data = put(model.data, one.at, bytes)
      return
    }
    case 'writes': {
      const all = one.writes.map(([at, size, seed]) => ({ at, bytes: pattern(size, seed) }))
      await Promise.all(all.map(({ at, bytes }) => fixture.write(node, at, bytes)))
      for (const { at, bytes } of all) model.data = put(model.data, at, bytes)
      return
    }
    case 'truncate':
      await contents.truncate(node, one.size)
      model.data = one.size <= model.data.length ? model.data.subarray(0, one.size) : grown(model.data, one.size)
      fixture.database.transaction(() => {
        contents.settle(node)
        fixture.database.sql.prepare('UPDATE node SET size = ? WHERE id = ?').run(one.size, node)
      })
      return
    case 'allocate': {
      await contents.allocate(node, one.mode, one.at, one.length)
      const end = one.at + one.length
      if (one.mode === 0 || one.mode === 0x10) model.data = grown(model.data, end)
      if (one.mode >= 3)
        model.data = put(
          model.data,
          Math.min(one.at, model.data.length),
          Buffer.alloc(Math.max(0, Math.min(end, model.data.length) - one.at)),
        )
      return
    }
    case 'copy': {
      const to = state.files[one.to]
      if (to === undefined || (to === model && Math.abs(one.at - one.toAt) < one.length)) return
      await state.mayFail(async () => {
        const copied = await contents.copy(node, one.at, to.node, one.toAt, one.length)
        expect(copied).toBeLessThanOrEqual(one.length)
        if (copied > 0) to.data = put(to.data, one.toAt, Buffer.from(model.data.subarray(one.at, one.at + copied)))
        else expect(one.at).toBeGreaterThanOrEqual(model.data.length)
      })
      return
    }
    case 'read':
      await state.mayFail(() => reads(model, one.at, one.length))
      return
    case 'evict':
      await contents.evict(node)
      return
    case 'upload':
      await state.mayFail(async () => same(await fixture.upload(node, one.snapshot), model.data, 'upload'))
      return
    case 'overtaken': {
      const bytes = pattern(one.length, one.seed)
      await state.mayFail(async () => {
        const source = await contents.source(node, { snapshot: one.snapshot })
        const before = model.data
        await fixture.write(node, one.at, bytes)
        model.data = put(model.data, one.at, bytes)
        if (one.snapshot) {
          same(await source.read(0, source.size, signal), before, 'snapshot')
          fixture.confirm(node, source.content, before)
        } else {
          await expect(source.read(0, source.size, signal)).rejects.toMatchObject({ kind: 'cancelled' })
        }
        source.close()
      })
      return
    }
    case 'sync':
      await contents.sync(node)
      return
    case 'fetch':
      await state.mayFail(() => contents.fetchAll(node, signal))
      return
    case 'open':
      contents.opened(node, one.writable)
      state.opened.push({ node, writable: one.writable })
      return
    case 'release': {
      const at = state.opened.findIndex((handle) => handle.node === node)
      const [handle] = at < 0 ? [] : state.opened.splice(at, 1)
      if (handle !== undefined) contents.released(handle.node, handle.writable)
      return
    }
    case 'settle': {
      const before = fixture.size(node)
      const work = (): void => {
        contents.settle(node)
        expect(contents.live(node)).toBeUndefined()
        if (one.undone) throw new CloudError('exists', 'undone')
      }
      try {
        fixture.database.transaction(work)
      } catch (error) {
        expect(CloudError.from(error).kind).toBe('exists')
      }
      expect(fixture.size(node)).toBe(before)
      return
    }
    case 'replace': {
      // What was forgotten leaves nothing that a new file could be confused with.
      fixture.database.transaction(() => {
        contents.forget(node)
        fixture.database.sql.prepare('DELETE FROM node WHERE id = ?').run(node)
        fixture.database.sql.prepare('DELETE FROM remote WHERE node = ?').run(node)
      })
      state.opened.splice(0, Infinity, ...state.opened.filter((handle) => handle.node !== node))
      model.node = fixture.newNode()
      model.data = Buffer.alloc(0)
      return
    }
    case 'faults':
      state.faultAfter = one.after
      state.faults = one.count
      return
    case 'pause':
      await new Promise((resolve) => setTimeout(resolve, one.ms))
      return
    case 'reopen':
      if (one.crash) {
        await fixture.crash()
        fixture.reopenDatabase()
      } else await contents.close()
      state.opened.length = 0
      await fixture.open()
      for (const each of state.files) expect(fixture.size(each.node)).toBe(each.data.length)
      return
  }
}

test('random histories read back what a plain buffer holds', async () => {
  await fc.assert(
    fc.asyncProperty(history, async ({ sizes, isNew, chunk, steps }) => {
      await fresh()
      const state = new History()
      fixture.chunkSize = () => chunk
      fixture.onChunk = async () => {
        if (state.faultAfter > 0) {
          state.faultAfter -= 1
          return
        }
        if (state.faults <= 0) return
        state.faults -= 1
        throw new CloudError('offline', 'planted')
      }
      sizes.forEach((size, index) => {
        const data = isNew[index] === true ? Buffer.alloc(0) : pattern(size, index)
        state.files.push({ node: isNew[index] === true ? fixture.newNode() : fixture.remoteNode(data), data })
      })
      for (const one of steps) await run(state, one)
      state.faults = 0
      for (const model of state.files) {
        expect(fixture.size(model.node)).toBe(model.data.length)
        same(await fixture.readAll(model.node), model.data, `end, node ${model.node}`)
      }
      for (const { node, writable } of state.opened) fixture.need().released(node, writable)
      for (const model of state.files) {
        same(await fixture.upload(model.node), model.data, 'last upload')
        await fixture.need().evict(model.node)
        same(await fixture.readAll(model.node), model.data, 'read again')
        expect(fixture.row(model.node).fault).toBeNull()
        await fixture.need().evict(model.node)
      }
      expect(fixture.need().usage()).toMatchObject({ bytes: 0, dirtyBytes: 0 })
      usable = true
    }),
    { numRuns: runs, timeout: 8000 },
  )
}, 600_000)
