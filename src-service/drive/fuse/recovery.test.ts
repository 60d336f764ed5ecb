import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { changed } from '../../../tests/fuse/changed-filesystem.ts'
import { memoryContents } from '../../../tests/fuse/contents.ts'
import { FakeDoor } from '../../../tests/fuse/fake-door.ts'
import { fakeSession } from '../../../tests/fuse/fake-session.ts'
import { body, requestBytes, text, u32, u64 } from '../../../tests/fuse/frames.ts'
import { memoryRequestLog } from '../../../tests/fuse/memory-request-log.ts'
import type { LogRow } from '../../../tests/fuse/memory-request-log.ts'
import { TestFilesystem } from '../../../tests/fuse/test-filesystem.ts'
import { header } from '../../common/native/native.ts'
import type { Filesystem } from '../vfs/filesystem.ts'
import { errno } from './errno.ts'
import { opcodes } from './protocol.ts'

const lookup = (unique: number, name: string): Buffer => requestBytes({ opcode: opcodes.lookup, unique, node: 1, body: text(name) })
const mkdir = (unique: number, name: string): Buffer =>
  requestBytes({ opcode: opcodes.mkdir, unique, node: 1, body: body(u32(0o755, 0), text(name)) })
/** A request that outlived so many deaths before the last one. */
const seen = (deaths: number, frame: Buffer): Buffer => (frame.writeUInt16LE(deaths, 38), frame)
const getattr = (unique: number, node = 1): Buffer => requestBytes({ opcode: opcodes.getattr, unique, node, body: Buffer.alloc(16) })

function names(filesystem: Filesystem): string[] {
  const found: string[] = []
  void filesystem.readdir(1, 2, (name) => found.push(name.toString()) > 0)
  return found
}

function blame(door: FakeDoor, unique: number, deaths: number, fruitless = 1): void {
  door.memory.writeBigUInt64LE(BigInt(unique), header.blamedUnique)
  door.memory.writeUInt32LE(deaths, header.blamedDeaths)
  door.memory.writeUInt32LE(fruitless, header.fruitlessDeaths)
}

describe('leftovers', () => {
  test('are answered before anything new is read, and the log is empty then', async () => {
    const rows = new Map<number, LogRow>([[8, { errno: errno.EEXIST, payload: Buffer.alloc(0) }]])
    const door = new FakeDoor()
    for (const frame of [lookup(12, 'x'), mkdir(8, 'logged'), mkdir(10, 'redone')]) door.leave(frame)
    const start = vi.spyOn(door, 'start').mockImplementation(() => expect([rows.size, door.answers.length]).toEqual([0, 3]))
    const { session, filesystem } = fakeSession({ door, requestLog: memoryRequestLog(rows), takenOver: true })
    await session.ready
    expect(start).toHaveBeenCalledOnce()
    expect(door.answers.map(({ unique, errno: number }) => [unique, number])).toEqual([
      [8, errno.EEXIST],
      [10, 0],
      [12, 0],
    ])
    expect(names(filesystem)).toEqual(['redone'])
  })

  test('that have no answer are freed', async () => {
    const door = new FakeDoor()
    for (const [i, opcode] of [opcodes.forget, opcodes.interrupt, opcodes.batchForget].entries()) {
      door.leave(requestBytes({ opcode, unique: 20 + i, node: 1, body: u64(1) }))
    }
    const { session } = fakeSession({ door, takenOver: true })
    await session.ready
    expect([door.answers, door.released.sort(), door.leftovers().length]).toEqual([[], [20, 21, 22], 0])
  })

  test('of a WRITE are taken from their slab', async () => {
    const filesystem = new TestFilesystem(memoryContents())
    const { opened } = filesystem.create({ uid: 0, gid: 0, pid: 0 }, 1, Buffer.from('f'), 0o644, { flags: 2, killPrivileges: false })()
    const data = Buffer.alloc(20_000, 'w')
    const door = new FakeDoor()
    door.leave(
      requestBytes({ opcode: opcodes.write, unique: 6, node: 2, body: body(u64(opened.fh, 0), u32(20_000, 0), u64(0), u32(0, 0), data) }),
    )
    const { session } = fakeSession({ door, filesystem, takenOver: true })
    await session.ready
    const back = Buffer.alloc(20_000)
    expect([filesystem.readNow(opened.fh, 0, 20_000, back, 0), back.equals(data)]).toEqual([20_000, true])
  })

  test('rows of an earlier connection do not answer a fresh one', async () => {
    const rows = new Map<number, LogRow>([[8, { errno: errno.EEXIST, payload: Buffer.alloc(0) }]])
    const { door, session, filesystem } = fakeSession({ requestLog: memoryRequestLog(rows) })
    await session.ready
    door.deliver(mkdir(8, 'mine'))
    expect([door.answers[0]?.errno, names(filesystem)]).toEqual([0, ['mine']])
  })
})

describe('a request that ends its process', () => {
  test('is refused when it was named at two deaths in a row; the others are served', async () => {
    const door = new FakeDoor()
    door.leave(getattr(6))
    door.leave(getattr(8))
    blame(door, 6, 2)
    const fs = new TestFilesystem(memoryContents())
    const asked = vi.spyOn(fs, 'getattr')
    const { session, logged } = fakeSession({ door, filesystem: fs, takenOver: true })
    await session.ready
    expect(door.answers.map((answer) => [answer.unique, answer.errno])).toEqual([
      [6, errno.EIO],
      [8, 0],
    ])
    expect([asked.mock.calls.length, logged.filter((line) => line.startsWith('warn')).length]).toEqual([1, 1])
    expect(logged.at(-1)).toContain('{"freed":0,"replayed":0,"refused":1,"run":1}')
  })

  test('is tried again after one', async () => {
    const door = new FakeDoor()
    door.leave(getattr(6))
    blame(door, 6, 1)
    const { session } = fakeSession({ door, takenOver: true })
    await session.ready
    expect(door.answers[0]?.errno).toBe(0)
  })

  test.each([
    ['which may be a bystander, only while it is dispatched', 0, 0],
    ['which has outlived two, until it is answered', 1, 1],
  ])('%s, is named', async (_what, before, alone) => {
    const door = new FakeDoor()
    const word = (): number => Number(door.memory.readBigUInt64LE(header.dispatching))
    const named: [number, number][] = []
    const fs = new TestFilesystem(memoryContents())
    const slow = changed(fs, {
      lookup: async (parent, name) => {
        await sleep(10)
        named.push([Number(name.toString()), word()])
        return fs.lookup(parent, name)
      },
    })
    for (const unique of [4, 6, 8]) door.leave(seen(before, lookup(unique, String(unique))))
    const { session } = fakeSession({ door, filesystem: slow, takenOver: true })
    expect(word()).toBe(4 * alone)
    await session.ready
    await vi.waitFor(() => expect(door.answers).toHaveLength(3))
    expect(named).toEqual([4, 6, 8].map((unique) => [unique, unique * alone]))
    expect(word()).toBe(0)
  })

  test('is not waited for for ever: it goes on while the others are served', async () => {
    const door = new FakeDoor()
    const answer = Promise.withResolvers<null>()
    const fs = changed(new TestFilesystem(memoryContents()), { lookup: () => answer.promise })
    door.leave(seen(1, lookup(4, 'slow')))
    door.leave(requestBytes({ opcode: opcodes.releasedir, unique: 6, node: 1, body: Buffer.alloc(24) }))
    const { session } = fakeSession({ door, filesystem: fs, takenOver: true })
    await session.ready
    expect([door.started, door.answers.map(({ unique }) => unique)]).toEqual([true, [6]])
    expect(door.memory.readBigUInt64LE(header.dispatching)).toBe(0n)
    answer.resolve(null)
    await vi.waitFor(() => expect(door.answersTo(4)).toHaveLength(1))
  })

  test('a session that is stopped while it recovers does not start', async () => {
    const door = new FakeDoor()
    const fs = changed(new TestFilesystem(memoryContents()), { lookup: () => new Promise(() => undefined) })
    door.leave(seen(1, lookup(4, 'slow')))
    door.leave(lookup(6, 'slow'))
    const { session } = fakeSession({ door, filesystem: fs, takenOver: true })
    session.stop()
    await session.ready
    expect([door.started, door.answers.length, door.leftovers().length]).toEqual([false, 0, 4])
  })
})

/** The kernel's side of a connection whose server dies at a chosen point of the one change that it serves. */
class DyingDoor extends FakeDoor {
  dead = false
  readonly accepted: [number, number][]
  readonly #afterReply: boolean

  constructor(memory: Buffer, accepted: [number, number][], afterReply: boolean) {
    super(memory)
    this.accepted = accepted
    this.#afterReply = afterReply
  }

  override reply(offset: number, number: number, payload: Buffer | null, at: number, length: number): number {
    if (this.dead) return -errno.EBADF
    const unique = Number(this.memory.readBigUInt64LE(offset + 8))
    const known = this.accepted.some(([other]) => other === unique)
    if (!known) this.accepted.push([unique, number])
    if (!this.#afterReply) return super.reply(offset, number, payload, at, length), known ? -errno.ENOENT : 0
    this.dead = true
    return 0
  }
}

describe('a change happens exactly once and has one answer, wherever its process died', () => {
  const points = ['before the commit', 'after the commit', 'after the reply'] as const
  const changes: readonly [string, Buffer, number][] = [
    ['made', mkdir(50, 'new'), 0],
    ['refused', mkdir(50, 'there'), errno.EEXIST],
    ['removed', requestBytes({ opcode: opcodes.rmdir, unique: 50, node: 1, body: text('there') }), 0],
    [
      'renamed',
      requestBytes({ opcode: opcodes.rename2, unique: 50, node: 1, body: body(u64(1), u32(1, 0), text('there'), text('then')) }),
      0,
    ],
  ]

  test.each(points.flatMap((point) => changes.map((change) => [point, ...change] as const)))(
    '%s, %s',
    async (point, _what, frame, expected) => {
      const rows = new Map<number, LogRow>()
      const filesystem = new TestFilesystem(memoryContents())
      filesystem.mkdir({ uid: 0, gid: 0, pid: 0 }, 1, Buffer.from('there'), 0o755)()
      let effects = 0
      filesystem.journal = () => {
        effects++
      }
      const accepted: [number, number][] = []
      const first = new DyingDoor(new FakeDoor().memory, accepted, point === 'after the reply')
      const log = memoryRequestLog(rows)
      const run: typeof log.run = (...call) => {
        if (first.dead) return { errno: 0, length: 0 }
        if (point === 'before the commit') first.dead = true
        if (first.dead) return { errno: 0, length: 0 }
        const outcome = log.run(...call)
        if (point === 'after the commit') first.dead = true
        return outcome
      }
      const dying = fakeSession({ door: first, filesystem, requestLog: { ...log, run, finished: () => undefined } })
      await dying.session.ready
      first.deliver(frame)
      expect(first.dead).toBe(true)

      const second = new DyingDoor(first.memory, accepted, false)
      const effectsBefore = effects
      const next = fakeSession({ door: second, filesystem, requestLog: memoryRequestLog(rows), takenOver: true })
      await next.session.ready
      expect(accepted).toEqual([[50, expected]])
      expect(effectsBefore > 0 && effects > effectsBefore).toBe(false)
      const remaining = names(filesystem)
      const wanted: Record<string, string[]> = { made: ['there', 'new'], refused: ['there'], removed: [], renamed: ['then'] }
      expect(remaining).toEqual(wanted[_what])
      expect(second.leftovers()).toHaveLength(0)
    },
  )
})
