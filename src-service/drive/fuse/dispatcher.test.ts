import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { changed } from '../../../tests/fuse/changed-filesystem.ts'
import { memoryContents } from '../../../tests/fuse/contents.ts'
import { FakeDoor } from '../../../tests/fuse/fake-door.ts'
import { fakeSession } from '../../../tests/fuse/fake-session.ts'
import { body, requestBytes, text, u32, u64 } from '../../../tests/fuse/frames.ts'
import { memoryRequestLog } from '../../../tests/fuse/memory-request-log.ts'
import { slowly } from '../../../tests/fuse/slow-filesystem.ts'
import { TestFilesystem } from '../../../tests/fuse/test-filesystem.ts'
import { CloudError } from '../../common/errors.ts'
import { header } from '../../common/native/native.ts'
import type { Attributes, Commit, Filesystem, Opened } from '../vfs/filesystem.ts'
import { errno } from './errno.ts'
import { opcodes } from './protocol.ts'

let next = 100

function request(opcode: number, node: number, ...parts: Buffer[]): { unique: number; bytes: Buffer } {
  const unique = (next += 2)
  return { unique, bytes: requestBytes({ opcode, unique, node, body: body(...parts) }) }
}

const create = (name: string): { unique: number; bytes: Buffer } => request(opcodes.create, 1, u32(0o102, 0o100644, 0o22, 0), text(name))

function filesystem(changes: Partial<Filesystem> = {}): Filesystem {
  return changed(new TestFilesystem(memoryContents()), changes)
}

async function start(
  changes: Partial<Filesystem> = {},
  deadlines = { metadataMs: 15_000, readMs: 60_000 },
  requestLog = memoryRequestLog(),
) {
  const fake = fakeSession({ filesystem: filesystem(changes), requestLog, options: { deadlines } })
  await fake.session.ready
  const call = (r: { unique: number; bytes: Buffer }): { errno: number; payload: Buffer } => {
    fake.door.deliver(r.bytes)
    const [answer, ...more] = fake.door.answersTo(r.unique)
    expect(more).toEqual([])
    if (answer === undefined) throw new Error('no answer')
    return answer
  }
  return { ...fake, call, requestLog }
}

describe('questions', () => {
  test('are answered at once', async () => {
    const { call } = await start()
    const made = call(create('file')).payload
    const node = Number(made.readBigUInt64LE(0))
    expect(Number(call(request(opcodes.lookup, 1, text('file'))).payload.readBigUInt64LE(0))).toBe(node)
    expect(call(request(opcodes.lookup, 1, text('absent'))).payload.readBigUInt64LE(0)).toBe(0n)
    expect(call(request(opcodes.getattr, node, Buffer.alloc(16))).payload).toHaveLength(104)
    expect(call(request(opcodes.getattr, 999, Buffer.alloc(16))).errno).toBe(errno.ESTALE)
    expect(call(request(opcodes.statfs, 1)).payload).toHaveLength(80)
  })

  test('written bytes are read back', async () => {
    const { call, door } = await start()
    const fh = call(create('file')).payload.readBigUInt64LE(128)
    const write = request(opcodes.write, 2, u64(fh, 3), u32(5, 0), u64(0), u32(0, 0), Buffer.from('hello'))
    door.deliver(write.bytes)
    await vi.waitFor(() => expect(door.answersTo(write.unique)[0]?.payload.readUInt32LE(0)).toBe(5))
    const read = (offset: number): Buffer => call(request(opcodes.read, 2, u64(fh, offset), u32(100, 0), u64(0), u32(0, 0))).payload
    expect(read(0)).toEqual(Buffer.from('\0\0\0hello'))
    expect(read(8)).toHaveLength(0)
  })

  test('a WRITE that says more than it brings is refused', async () => {
    const { call } = await start()
    const fh = call(create('file')).payload.readBigUInt64LE(128)
    expect(call(request(opcodes.write, 2, u64(fh, 0), u32(6, 0), u64(0), u32(0, 0), Buffer.from('hello'))).errno).toBe(errno.EINVAL)
  })

  test('a READ that cannot be answered whole is refused, because a short answer means the end of the file', async () => {
    const { call } = await start()
    const fh = call(create('file')).payload.readBigUInt64LE(128)
    expect(call(request(opcodes.read, 2, u64(fh, 0), u32(2 ** 21, 0), u64(0), u32(0, 0))).errno).toBe(errno.EINVAL)
  })

  test('SEEK_DATA beyond the data is ENXIO', async () => {
    const { call } = await start()
    const fh = call(create('file')).payload.readBigUInt64LE(128)
    expect(call(request(opcodes.lseek, 2, u64(fh, 10), u32(3, 0))).errno).toBe(errno.ENXIO)
    expect(call(request(opcodes.lseek, 2, u64(fh, 10), u32(0, 0))).errno).toBe(errno.EINVAL)
  })

  test('what was not asked for gets no answer', async () => {
    const { door } = await start()
    for (const opcode of [opcodes.forget, opcodes.batchForget, opcodes.interrupt, opcodes.notifyReply]) {
      door.deliver(request(opcode, 1, u64(1)).bytes)
    }
    expect([door.answers, door.released.length, door.misuses]).toEqual([[], 4, 0])
  })
})

describe('every opcode', () => {
  const decided = new Map<number, number>([
    ...[opcodes.getlk, opcodes.setlk, opcodes.setlkw, opcodes.access, opcodes.bmap, opcodes.poll].map((o) => [o, errno.ENOSYS] as const),
    ...[opcodes.setupMapping, opcodes.removeMapping, opcodes.tmpfile, opcodes.statx, opcodes.cuseInit].map(
      (o) => [o, errno.ENOSYS] as const,
    ),
    [opcodes.ioctl, errno.ENOTTY],
    [7, errno.ENOSYS],
    [19, errno.ENOSYS],
    [54, errno.ENOSYS],
    [0xffffffff, errno.ENOSYS],
  ])

  test('that is not served has its errno', async () => {
    const { call } = await start()
    for (const [opcode, number] of decided) expect([opcode, call(request(opcode, 1, Buffer.alloc(64))).errno]).toEqual([opcode, number])
  })

  test('that is served refuses an empty body with EINVAL or does without', async () => {
    const { call } = await start()
    const silent: number[] = [opcodes.forget, opcodes.batchForget, opcodes.interrupt, opcodes.notifyReply]
    const bodiless: number[] = [opcodes.getattr, opcodes.statfs, opcodes.releasedir, opcodes.destroy, opcodes.readlink, opcodes.syncfs]
    for (let opcode = 1; opcode <= 53; opcode++) {
      if (silent.includes(opcode) || decided.has(opcode) || bodiless.includes(opcode)) continue
      expect([opcode, call(request(opcode, 1)).errno]).toEqual([opcode, errno.EINVAL])
    }
  })

  test('of xattrs is ENOSYS where there are none, so that the kernel stops asking', async () => {
    const { call } = await start()
    const calls = [
      request(opcodes.getxattr, 1, u32(0, 0), text('user.a')),
      request(opcodes.listxattr, 1, u32(0, 0)),
      request(opcodes.setxattr, 1, u32(1, 0, 0, 0), text('user.a'), Buffer.from('x')),
      request(opcodes.removexattr, 1, text('user.a')),
    ]
    expect(calls.map((c) => call(c).errno)).toEqual([38, 38, 38, 38])
  })
})

describe('changes', () => {
  test('run inside the log, refusals included, and are forgotten when answered', async () => {
    const rows = new Map<number, { errno: number; payload: Buffer }>()
    const { call } = await start({}, undefined, memoryRequestLog(rows))
    const first = create('file')
    const answer = call(first)
    expect(rows.get(first.unique)).toEqual({ errno: 0, payload: answer.payload })
    const second = create('file')
    expect(call(second).errno).toBe(errno.EEXIST)
    expect([...rows]).toEqual([[second.unique, { errno: errno.EEXIST, payload: Buffer.alloc(0) }]])
  })

  test('refused before the commit are logged too', async () => {
    const rows = new Map<number, { errno: number; payload: Buffer }>()
    const { call, door } = await start(
      { mkdir: () => Promise.reject(new CloudError('offline', 'away')) },
      undefined,
      memoryRequestLog(rows),
    )
    const bad = request(opcodes.mkdir, 999, u32(0o755, 0), text('x'))
    door.deliver(bad.bytes)
    await vi.waitFor(() => expect(door.answersTo(bad.unique)).toHaveLength(1))
    expect(rows.get(bad.unique)?.errno).toBe(errno.ENETUNREACH)
    const sync = request(opcodes.unlink, 999, text('x'))
    expect(call(sync).errno).toBe(errno.ESTALE)
    expect(rows.get(sync.unique)?.errno).toBe(errno.ESTALE)
  })

  test('are refused when the log fails, and nothing else breaks', async () => {
    const log = memoryRequestLog()
    const { call, logged } = await start({}, undefined, { ...log, run: () => raise(new CloudError('no-space', 'disk full')) })
    expect(call(create('file')).errno).toBe(errno.ENOSPC)
    expect(logged).toHaveLength(1)
  })
})

describe('names of requests in the header page', () => {
  test('stand there while they are dispatched, and while they commit', async () => {
    const door = new FakeDoor()
    const seen: number[] = []
    const word = (): number => Number(door.memory.readBigUInt64LE(header.dispatching))
    const fs = filesystem({
      getattr: () => {
        seen.push(word())
        throw new CloudError('not-found', 'x')
      },
      unlink: async () => {
        seen.push(word())
        await sleep(5)
        seen.push(word())
        return () => void seen.push(word())
      },
    })
    const { session } = fakeSession({ door, filesystem: fs })
    await session.ready
    door.deliver(requestBytes({ opcode: opcodes.getattr, unique: 2 ** 33 + 8, node: 1, body: Buffer.alloc(16) }))
    expect([word(), seen]).toEqual([0, [2 ** 33 + 8]])
    const unlink = request(opcodes.unlink, 1, text('x'))
    door.deliver(unlink.bytes)
    await vi.waitFor(() => expect(door.answersTo(unlink.unique)).toHaveLength(1))
    expect([word(), seen]).toEqual([0, [2 ** 33 + 8, unlink.unique, 0, unlink.unique]])
  })
})

describe('deadlines', () => {
  const soon = { metadataMs: 60, readMs: 90 }

  test('metadata that hangs is answered ETIMEDOUT, once, and its late commit never runs', async () => {
    const ready = Promise.withResolvers<Commit<void>>()
    const commit = vi.fn<() => void>()
    const { door } = await start({ rmdir: () => ready.promise }, soon)
    const rmdir = request(opcodes.rmdir, 1, text('x'))
    door.deliver(rmdir.bytes)
    await vi.waitFor(() => expect(door.answersTo(rmdir.unique)[0]?.errno).toBe(errno.ETIMEDOUT))
    ready.resolve(commit)
    await sleep(5)
    expect([door.answers.length, door.misuses, commit.mock.calls.length]).toEqual([1, 0, 0])
  })

  test('an OPEN that succeeds too late is released again', async () => {
    const opened = Promise.withResolvers<Opened>()
    const release = vi.fn<(fh: number) => void>()
    const { door } = await start({ open: () => opened.promise, release }, soon)
    const open = request(opcodes.open, 2, u32(0, 0))
    door.deliver(open.bytes)
    await vi.waitFor(() => expect(door.answersTo(open.unique)[0]?.errno).toBe(errno.ETIMEDOUT))
    opened.resolve({ fh: 14, keepCache: true, backingId: 0, noFlush: true })
    await sleep(5)
    expect(release.mock.calls).toEqual([[14]])
  })

  test('a READ is aborted and answered', async () => {
    let aborted = false
    const { door } = await start(
      {
        readNow: () => -1,
        read: (_fh, _offset, _length, _target, _at, signal) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => {
              aborted = true
              reject(new CloudError('cancelled', 'x'))
            })
          }),
      },
      soon,
    )
    const read = request(opcodes.read, 2, u64(4, 0), u32(100, 0), u64(0), u32(0, 0))
    door.deliver(read.bytes)
    await vi.waitFor(() => expect(door.answersTo(read.unique)[0]?.errno).toBe(errno.ETIMEDOUT))
    await sleep(5)
    expect([aborted, door.answers.length, door.misuses]).toEqual([true, 1, 0])
  })

  test('FSYNC and WRITE have none', async () => {
    const { door } = await start({ fsync: () => sleep(200), write: async () => (await sleep(200), 1) }, soon)
    const fsync = request(opcodes.fsync, 2, u64(5), u32(0, 0))
    const write = request(opcodes.write, 2, u64(5, 0), u32(1, 0), u64(0), u32(0, 0), Buffer.from('x'))
    door.deliver(fsync.bytes, write.bytes)
    await sleep(150)
    expect(door.answers).toEqual([])
    await vi.waitFor(() => expect(door.answers.map((answer) => answer.errno)).toEqual([0, 0]))
  })

  test('a listing that comes too late is dropped', async () => {
    const later = Promise.withResolvers<null>()
    const taken: boolean[] = []
    const attributes = new TestFilesystem(memoryContents()).getattr(1)
    const { door } = await start(
      {
        readdir: async (_node, _offset, emit) => {
          taken.push(emit(Buffer.from('early'), 3, attributes))
          await later.promise
          taken.push(emit(Buffer.from('late'), 4, attributes))
        },
      },
      soon,
    )
    const readdir = request(opcodes.readdirplus, 1, u64(0, 0), u32(4096, 0), u64(0), u32(0, 0))
    door.deliver(readdir.bytes)
    await vi.waitFor(() => expect(door.answersTo(readdir.unique)[0]?.errno).toBe(errno.ETIMEDOUT))
    later.resolve(null)
    await sleep(5)
    expect([taken, door.answers.length]).toEqual([[true, false], 1])
  })
})

describe('waiting reads', () => {
  test('share 16 buffers, and the others wait in order of arrival', async () => {
    const running: { offset: number; finish: (bytes: number) => void }[] = []
    const { door } = await start({
      readNow: () => -1,
      read: (_fh, offset, _length, target) =>
        new Promise((resolve) => {
          const finish = (bytes: number): void => {
            target.fill(offset, 0, bytes)
            resolve(bytes)
          }
          running.push({ offset, finish })
        }),
    })
    const reads = Array.from({ length: 20 }, (_, i) => request(opcodes.read, 2, u64(4, i), u32(100, 0), u64(0), u32(0, 0)))
    door.deliver(...reads.map((read) => read.bytes))
    expect(running.map((read) => read.offset)).toEqual(Array.from({ length: 16 }, (_, i) => i))
    for (let i = 0; i < 20; i++) {
      running[i]?.finish(3)
      await sleep(1)
    }
    expect(running.map((read) => read.offset)).toEqual(Array.from({ length: 20 }, (_, i) => i))
    reads.forEach((read, i) => expect(door.answersTo(read.unique)[0]?.payload).toEqual(Buffer.alloc(3, i)))
  })
})

describe('the end of a session', () => {
  test('leaves what waits unanswered in memory, and commits nothing of it', async () => {
    const ready = Promise.withResolvers<Commit<Attributes>>()
    const commit = vi.fn<() => Attributes>()
    const { door, session } = await start({ mkdir: () => ready.promise })
    const mkdir = request(opcodes.mkdir, 1, u32(0o755, 0), text('x'))
    door.deliver(mkdir.bytes)
    session.stop()
    ready.resolve(commit)
    await sleep(5)
    expect([door.answers.length, commit.mock.calls.length, door.stopped, door.leftovers().length]).toEqual([0, 0, true, 2])
  })

  test('is told once', async () => {
    const closed: number[] = []
    const door = new FakeDoor()
    const { session } = fakeSession({ door, options: { onClosed: (number) => closed.push(number) } })
    await session.ready
    door.options?.onClosed(19)
    door.options?.onClosed(19)
    session.stop()
    expect(closed).toEqual([19])
  })
})

test('counts requests, errors and time by operation', async () => {
  const { call, session, door } = await start()
  call(create('file'))
  call(create('file'))
  door.deliver(request(opcodes.forget, 1, u64(1)).bytes)
  const counts = session.counters().operations
  expect(counts.map(({ name, requests, errors }) => [name, requests, errors])).toEqual([
    ['FORGET', 1, 0],
    ['CREATE', 2, 1],
  ])
  expect(counts.every((count) => count.milliseconds >= 0)).toBe(true)
})

test('a file system that answers everything later gives the same answers', async () => {
  const fs = new TestFilesystem(memoryContents())
  const { door, session } = fakeSession({ filesystem: slowly(fs, () => 1) })
  await session.ready
  const made = create('file')
  door.deliver(made.bytes)
  await vi.waitFor(() => expect(door.answersTo(made.unique)).toHaveLength(1))
  const lookup = request(opcodes.lookup, 1, text('file'))
  const listing = request(opcodes.readdirplus, 1, u64(0, 0), u32(4096, 0), u64(0), u32(0, 0))
  door.deliver(lookup.bytes, listing.bytes)
  await vi.waitFor(() => expect(door.answers).toHaveLength(3))
  expect(door.answersTo(lookup.unique)[0]?.payload.subarray(0, 128)).toEqual(door.answersTo(made.unique)[0]?.payload.subarray(0, 128))
  expect(door.answersTo(listing.unique)[0]?.payload).toHaveLength(3 * 160)
})

function raise(error: Error): never {
  throw error
}
