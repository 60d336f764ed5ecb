import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { timesOf } from '../../../../tests/support/random.ts'
import { blockSize } from './block-map.ts'
import { type Disk, localDisk } from './disk.ts'
import { Fixture, memoryFolder, pattern } from '../../../../tests/support/blob-rig.ts'

const runs = timesOf(120)
const page = 4096

type Choose = (below: number) => number

/**
 * A disk that knows what a power loss may take: of a file all but what the last fdatasync covered, page by page; a name made
 * or removed since its folder was synced; commits since the WAL was synced.
 */
class ForgetfulDisk {
  readonly #folder: string
  readonly #paths = new Map<number, string>()
  readonly #synced = new Map<string, Buffer>()
  readonly #named = new Set<string>()
  readonly #removed = new Map<string, Buffer>()
  /** The database as it may come back: from the last sync of the WAL on. */
  #databases: { db: Buffer; wal: Buffer }[] = []
  onProof: (node: number) => void = () => undefined

  constructor(folder: string) {
    this.#folder = folder
  }

  readonly disk: Disk = {
    ...localDisk,
    open: async (path, create) => {
      const fd = await localDisk.open(path, create)
      this.#paths.set(fd, path)
      return fd
    },
    makeNow: (path) => {
      const fd = localDisk.makeNow(path)
      this.#paths.set(fd, path)
      return fd
    },
    openToRead: async (path) => {
      const fd = await localDisk.openToRead(path)
      this.#paths.set(fd, path)
      return fd
    },
    datasync: async (fd) => {
      const path = this.#paths.get(fd) ?? ''
      if (path.endsWith('-wal')) {
        this.#databases = [await this.#database()]
        return
      }
      this.#synced.set(path, await readFile(path))
      this.onProof(Number(/(\d+)\.\d+$/.exec(path)?.[1]))
      this.#databases.push(await this.#database())
    },
    syncFolder: async (path) => {
      for (const name of await readdir(path)) this.#named.add(join(path, name))
      for (const gone of this.#removed.keys()) if (join(gone, '..') === path) this.#removed.delete(gone)
    },
    remove: async (path) => {
      const before = this.#synced.get(path)
      if (before !== undefined && this.#named.has(path)) this.#removed.set(path, before)
      await localDisk.remove(path)
    },
  }

  async #database(): Promise<{ db: Buffer; wal: Buffer }> {
    const path = join(this.#folder, 'drive.sqlite')
    return { db: await readFile(path), wal: await readFile(`${path}-wal`) }
  }

  /** Before the database is closed: closing checkpoints. */
  async lastDatabase(): Promise<void> {
    this.#databases.push(await this.#database())
  }

  async cut(choose: Choose): Promise<void> {
    const database = this.#databases[choose(this.#databases.length)]
    if (database === undefined) throw new Error('the WAL was never synced')
    const path = join(this.#folder, 'drive.sqlite')
    await rm(`${path}-shm`, { force: true })
    await writeFile(path, database.db)
    await writeFile(`${path}-wal`, database.wal)
    for (const folder of await readdir(join(this.#folder, 'blobs'))) {
      if (folder === 'format') continue
      for (const name of await readdir(join(this.#folder, 'blobs', folder)))
        await this.#forget(join(this.#folder, 'blobs', folder, name), choose)
    }
    for (const [gone, bytes] of this.#removed) if (choose(2) === 0) await writeFile(gone, bytes)
  }

  async #forget(path: string, choose: Choose): Promise<void> {
    const now = await readFile(path)
    const before = this.#synced.get(path) ?? Buffer.alloc(0)
    if (!this.#named.has(path) && choose(3) === 0) {
      await rm(path)
      return
    }
    const size = choose(2) === 0 ? now.length : before.length
    const mixed = Buffer.alloc(size)
    for (let at = 0; at < size; at += page) {
      const from = choose(2) === 0 ? now : before
      if (at < from.length) from.copy(mixed, at, at, Math.min(size, at + page))
    }
    // What was synced and not changed since is there either way; a page that only one of them has may be zeros.
    await writeFile(path, mixed)
  }
}

const place = fc.oneof(
  fc.nat(4 * blockSize),
  fc.nat(4).map((block) => block * blockSize),
)
const length = fc.oneof(fc.integer({ min: 1, max: 9000 }), fc.integer({ min: 1, max: 2 * blockSize }))
const file = fc.nat(1)
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('write' as const), file, at: place, length, seed: fc.integer({ min: 1, max: 1000 }) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('truncate' as const), file, size: fc.oneof(place, fc.constant(0)) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('sync' as const), file }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('upload' as const), file }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('send' as const), file }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('read' as const), file, at: place, length }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('open' as const), file }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('evict' as const), file }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('fetch' as const), file }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const), file }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('pause' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('crash' as const) }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** Every state that a file has had, and from where on a power loss may take it back to. */
class Past {
  readonly node: number
  readonly states: Buffer[]
  /** Indices of states that an fdatasync covered. */
  proofs: number[] = []
  promise = -1
  forgotten = false
  open = false
  /** The last state that is no longer being made. */
  done = 0
  /** Confirmed versions: index of the state, which is exactly that. */
  confirmed: number[] = []
  /** An upload of which no answer has come: it is told after the power came back. */
  sent: { readonly content: number; readonly data: Buffer; readonly index: number } | undefined

  constructor(node: number, data: Buffer, isNew: boolean) {
    this.node = node
    this.states = [data]
    if (!isNew) this.confirmed.push(0)
  }

  get now(): Buffer {
    return this.states.at(-1) ?? Buffer.alloc(0)
  }

  get index(): number {
    return this.states.length - 1
  }

  /** True if the file may be this after a power loss. */
  allows(found: Buffer | undefined): boolean {
    const nothing = this.promise < 0 && this.confirmed.length === 0
    if (found === undefined) return nothing || this.forgotten
    if (this.confirmed.some((index) => index >= this.promise && this.states[index]?.equals(found))) return true
    if (nothing && found.length === 0) return true
    const from = this.proofs.find((index) => index >= Math.max(this.promise, 0))
    return from !== undefined && this.#within(found, from)
  }

  /** Each byte is that of some state since `from`, or a hole where one had no byte. */
  #within(found: Buffer, from: number): boolean {
    const states = this.states.slice(from)
    if (found.length > Math.max(...states.map((state) => state.length)) || found.length < Math.min(...states.map((state) => state.length)))
      return false
    const shortest = Math.min(...states.map((state) => state.length))
    return found.every((byte, at) => (at >= shortest && byte === 0) || states.some((state) => state[at] === byte))
  }
}

async function run(fixture: Fixture, past: Past, one: Step): Promise<void> {
  const contents = fixture.need()
  const { node } = past
  switch (one.kind) {
    case 'write': {
      const bytes = pattern(one.length, one.seed)
      const next = Buffer.concat([past.now, Buffer.alloc(Math.max(0, one.at + bytes.length - past.now.length))])
      bytes.copy(next, one.at)
      past.states.push(next)
      await fixture.write(node, one.at, bytes)
      return
    }
    case 'truncate':
      past.states.push(Buffer.concat([past.now.subarray(0, one.size), Buffer.alloc(Math.max(0, one.size - past.now.length))]))
      await contents.truncate(node, one.size)
      fixture.database.transaction(() => {
        contents.settle(node)
        fixture.database.sql.prepare('UPDATE node SET size = ? WHERE id = ?').run(one.size, node)
      })
      return
    case 'sync':
      await contents.sync(node)
      if (past.promise >= 0 || past.index > 0 || past.confirmed.length === 0) past.promise = past.index
      past.proofs.push(past.index)
      return
    case 'upload':
      await fixture.upload(node)
      past.confirmed.push(past.index)
      past.sent = undefined
      return
    case 'send': {
      const source = await contents.source(node, { snapshot: false })
      try {
        past.sent = { content: source.content, data: await source.read(0, source.size, new AbortController().signal), index: past.index }
      } finally {
        source.close()
      }
      // What is sent was synced before.
      past.proofs.push(past.index)
      return
    }
    case 'read':
      await fixture.read(node, one.at, one.length)
      return
    case 'open':
      if (past.open) contents.released(node, true)
      else contents.opened(node, true)
      past.open = !past.open
      return
    case 'evict':
      await contents.evict(node)
      return
    case 'fetch':
      await contents.fetchAll(node, new AbortController().signal)
      return
    case 'forget':
      past.forgotten = true
      fixture.database.transaction(() => {
        contents.forget(node)
        fixture.database.sql.prepare('DELETE FROM node WHERE id = ?').run(node)
      })
      return
    case 'pause':
      await new Promise((resolve) => setTimeout(resolve, 100))
      return
    case 'crash':
      await fixture.crash()
      fixture.reopenDatabase()
      await fixture.open()
      // Handles from before are not counted any more.
      past.open = false
      return
  }
}

test('a power loss takes nothing that was synced and tears nothing that is shown', async () => {
  let lost = 0
  let answered = 0
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(place, fc.boolean(), place, fc.boolean()),
      fc.array(step, { minLength: 2, maxLength: 14 }),
      fc.infiniteStream(fc.nat(1_000_000)),
      async ([sizeA, newA, sizeB, newB], steps, randoms) => {
        const fixture = await Fixture.make({ closeSyncMs: 1e9 }, await memoryFolder())
        const forgetful = new ForgetfulDisk(fixture.folder)
        fixture.disk = forgetful.disk
        try {
          await fixture.open()
          const pasts = [
            { size: sizeA, isNew: newA },
            { size: sizeB, isNew: newB },
          ].map(({ size, isNew }, index) => {
            const data = isNew ? Buffer.alloc(0) : pattern(size, index + 7)
            return new Past(isNew ? fixture.newNode() : fixture.remoteNode(data), data, isNew)
          })
          await fixture.need().syncDatabase()
          forgetful.onProof = (node) => {
            const past = pasts.find((one) => one.node === node)
            past?.proofs.push(past.done)
          }
          for (const one of steps) {
            const past = pasts['file' in one ? one.file : 0]
            if (past === undefined || past.forgotten) continue
            await run(fixture, past, one)
            past.done = past.index
          }
          await forgetful.lastDatabase()
          await fixture.crash()
          await forgetful.cut((below) => (randoms.next().value ?? 0) % below)
          fixture.reopenDatabase()
          fixture.bootId = 'boot-2'
          fixture.disk = localDisk
          await fixture.open()
          for (const past of pasts) {
            const here = fixture.exists(past.node)
            if (here && past.sent !== undefined && fixture.blobRow(past.node)?.base_rev === null) {
              // The provider has what was sent, which is now found out: if that is taken for what is here, it has to be.
              fixture.confirm(past.node, past.sent.content, past.sent.data)
              past.confirmed.push(past.sent.index)
              answered += 1
              await fixture.need().evict(past.node)
            }
            const found = here ? await fixture.readAll(past.node) : undefined
            if (found === undefined || !found.equals(past.now)) lost += 1
            if (!past.allows(found)) throw new Error(`node ${past.node}: ${describe(found, past)}`)
          }
        } finally {
          await fixture.end()
        }
      },
    ),
    { numRuns: runs, timeout: 20_000 },
  )
  // A run in which nothing was ever lost would have proved nothing.
  expect(lost).toBeGreaterThan(0)
  expect(answered).toBeGreaterThan(0)
}, 900_000)

test('an fsync that leaves the database alone is kept, and not taken for an upload that was sent before it', async () => {
  const fixture = await Fixture.make({ closeSyncMs: 1e9, saveMs: 1e9 }, await memoryFolder())
  const forgetful = new ForgetfulDisk(fixture.folder)
  const wals = new Set<number>()
  let walSyncs = 0
  fixture.disk = {
    ...forgetful.disk,
    openToRead: async (path) => {
      const fd = await forgetful.disk.openToRead(path)
      if (path.endsWith('-wal')) wals.add(fd)
      return fd
    },
    datasync: async (fd) => {
      if (wals.has(fd)) walSyncs += 1
      await forgetful.disk.datasync(fd)
    },
  }
  try {
    const contents = await fixture.open()
    const node = fixture.newNode()
    contents.opened(node, true)
    const old = pattern(5000, 1)
    await fixture.write(node, 0, old)
    await contents.sync(node)
    const { content } = await contents.source(node, { snapshot: false })
    const before = walSyncs
    const data = pattern(5000, 2)
    await fixture.write(node, 0, data)
    await contents.sync(node)
    expect(walSyncs).toBe(before)
    await forgetful.lastDatabase()
    await fixture.crash()
    // The database as it was synced last: it knows nothing of the second write.
    await forgetful.cut(() => 0)
    fixture.reopenDatabase()
    expect(fixture.row(node).content).toBe(content)
    fixture.bootId = 'boot-2'
    fixture.disk = localDisk
    await fixture.open()
    fixture.confirm(node, content, old)
    await fixture.need().evict(node)
    expect((await fixture.readAll(node)).equals(data)).toBe(true)
  } finally {
    await fixture.end()
  }
})

function describe(found: Buffer | undefined, past: Past): string {
  const sizes = past.states.map((state) => state.length).join(',')
  const promised = past.states[Math.max(0, past.promise)] ?? Buffer.alloc(0)
  const at = found?.findIndex((byte, index) => promised[index] !== byte)
  return `found ${found?.length ?? 'nothing'} bytes, sizes ${sizes}, promise ${past.promise}, proofs ${past.proofs.join(',')}, confirmed ${past.confirmed.join(',')}, differs at ${at}`
}
