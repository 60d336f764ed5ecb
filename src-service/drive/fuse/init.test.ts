import { describe, expect, test } from 'vitest'
import { FakeDoor } from '../../../tests/fuse/fake-door.ts'
import { fakeSession, initRequest } from '../../../tests/fuse/fake-session.ts'
import { body, requestBytes, u32 } from '../../../tests/fuse/frames.ts'
import { header } from '../../common/native/native.ts'
import { initFlag, initFlag2 } from './protocol.ts'

async function answerTo(request: Buffer, allowPassthrough = false): Promise<{ door: FakeDoor; errno: number; payload: Buffer }> {
  const { door, session } = fakeSession({ options: { allowPassthrough } })
  await session.ready
  door.deliver(request)
  const [answer] = door.answers
  if (answer === undefined) throw new Error('no answer')
  return { door, errno: answer.errno, payload: answer.payload }
}

describe('negotiation', () => {
  test('takes what it wants of what is offered', async () => {
    const { payload } = await answerTo(initRequest())
    expect(payload).toHaveLength(64)
    expect([payload.readUInt32LE(0), payload.readUInt32LE(4), payload.readUInt32LE(8)]).toEqual([7, 45, 131072])
    expect([payload.readUInt16LE(16), payload.readUInt16LE(18), payload.readUInt32LE(24)]).toEqual([64, 48, 1])
    const flags = payload.readUInt32LE(12)
    const has = (flag: number): boolean => Math.floor(flags / flag) % 2 === 1
    const wanted = [
      initFlag.asyncRead,
      initFlag.readdirplus,
      initFlag.parallelDirectories,
      initFlag.explicitInvalidateData,
      initFlag.maxPages,
    ]
    expect(wanted.every(has)).toBe(true)
    const never = [
      initFlag.writebackCache,
      initFlag.posixLocks,
      initFlag.flockLocks,
      initFlag.autoInvalidateData,
      initFlag.posixAcl,
      initFlag.exportSupport,
    ]
    expect(never.some(has)).toBe(false)
    expect(payload.readUInt32LE(32)).toBe(initFlag2.hasExpireOnly)
    expect(payload.readUInt32LE(36)).toBe(0)
  })

  test('writes are as large as a slab allows', async () => {
    const { payload } = await answerTo(initRequest())
    expect([payload.readUInt32LE(20), payload.readUInt16LE(28)]).toEqual([60 * 1024, 15])
  })

  test('asks for nothing that is not offered', async () => {
    const { payload } = await answerTo(initRequest(45, initFlag.asyncRead, 0xffffffff), true)
    expect(payload.readUInt32LE(12)).toBe(initFlag.asyncRead)
    expect(payload.readUInt32LE(32)).toBe(0)
  })

  test('passthrough only where it is allowed', async () => {
    const { payload } = await answerTo(initRequest(), true)
    expect(payload.readUInt32LE(32) & initFlag2.passthrough).not.toBe(0)
    expect(payload.readUInt32LE(36)).toBe(1)
  })

  test('speaks the older of two minors', async () => {
    expect((await answerTo(initRequest(36))).payload.readUInt32LE(4)).toBe(36)
    expect((await answerTo(initRequest(99))).payload.readUInt32LE(4)).toBe(45)
  })

  test('refuses what it cannot speak, and lets a newer major ask again', async () => {
    expect((await answerTo(initRequest(30))).errno).toBe(71)
    const older = requestBytes({ opcode: 26, unique: 2, node: 0, body: u32(6, 45, 0, 0) })
    expect((await answerTo(older)).errno).toBe(71)
    const newer = requestBytes({ opcode: 26, unique: 2, node: 0, body: body(u32(8, 0, 0, 0), Buffer.alloc(48)) })
    const { door, errno, payload } = await answerTo(newer)
    expect([errno, payload.readUInt32LE(0)]).toEqual([0, 7])
    expect(door.memory.readUInt32LE(header.initDone)).toBe(0)
  })
})

describe('the result', () => {
  test('is in the header page before the answer, for a successor', async () => {
    const door = new FakeDoor()
    let doneAtReply = -1
    const reply = door.reply.bind(door)
    door.reply = (...answer) => {
      doneAtReply = door.memory.readUInt32LE(header.initDone)
      return reply(...answer)
    }
    const { session } = fakeSession({ door })
    await session.ready
    door.deliver(initRequest())
    expect(doneAtReply).toBe(1)

    const successor = fakeSession({ door: new FakeDoor(door.memory), takenOver: true })
    await successor.session.ready
    expect(successor.session.negotiated()).toEqual(session.negotiated())
  })

  test('limits how long an old kernel keeps things, because it cannot be told to forget', async () => {
    for (const [minor, seconds] of [
      [45, 60n],
      [43, 10n],
    ] as const) {
      const { door, session } = fakeSession()
      await session.ready
      door.deliver(initRequest(minor), requestBytes({ opcode: 3, unique: 4, node: 1, body: Buffer.alloc(16) }))
      expect(door.answersTo(4)[0]?.payload.readBigUInt64LE(0)).toBe(seconds)
    }
  })
})
