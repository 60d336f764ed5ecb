import { expect, test } from 'vitest'
import { fakeSession, initRequest } from '../../../tests/fuse/fake-session.ts'
import type { FakeSession } from '../../../tests/fuse/fake-session.ts'

async function afterInit(minor = 45, flags2 = 0xffffffff): Promise<FakeSession> {
  const fake = fakeSession()
  await fake.session.ready
  fake.door.deliver(initRequest(minor, 0xffffffff, flags2))
  return fake
}

test('attributes: INVAL_INODE with offset -1, which does not wait', async () => {
  const { door, session } = await afterInit()
  session.notifier.attributesChanged(2 ** 40 + 3)
  const [message] = door.notifications
  expect(message).toHaveLength(40)
  expect([message?.readUInt32LE(0), message?.readInt32LE(4), message?.readBigUInt64LE(8)]).toEqual([40, 2, 0n])
  expect([message?.readBigUInt64LE(16), message?.readBigInt64LE(24), message?.readBigInt64LE(32)]).toEqual([2n ** 40n + 3n, -1n, 0n])
})

test('names: INVAL_ENTRY on the other thread, expiring where the kernel can', async () => {
  for (const [flags2, expire] of [
    [0xffffffff, 1],
    [0, 0],
  ] as const) {
    const { door, session } = await afterInit(45, flags2)
    session.notifier.entryChanged(7, Buffer.from('name'))
    const [message] = door.later
    expect(message).toHaveLength(16 + 16 + 5)
    expect([message?.readUInt32LE(0), message?.readInt32LE(4), message?.readBigUInt64LE(16)]).toEqual([37, 3, 7n])
    expect([message?.readUInt32LE(24), message?.readUInt32LE(28), message?.toString('latin1', 32)]).toEqual([4, expire, 'name\0'])
    expect(door.notifications).toEqual([])
  }
})

test('everything: INC_EPOCH, also when names come too fast', async () => {
  const { door, session } = await afterInit()
  session.notifier.everythingChanged()
  door.laterFull = true
  session.notifier.entryChanged(1, Buffer.from('x'))
  expect(door.notifications.map((message) => [message.length, message.readInt32LE(4)])).toEqual([
    [16, 8],
    [16, 8],
  ])
})

test('a kernel without INC_EPOCH is not sent one', async () => {
  const { door, session } = await afterInit(43)
  session.notifier.everythingChanged()
  expect(door.notifications).toEqual([])
})

test('says nothing before INIT and after the end', async () => {
  const { door, session } = fakeSession()
  await session.ready
  session.notifier.attributesChanged(1)
  door.deliver(initRequest())
  session.stop()
  session.notifier.attributesChanged(1)
  session.notifier.entryChanged(1, Buffer.from('x'))
  session.notifier.everythingChanged()
  expect([door.notifications, door.later]).toEqual([[], []])
})
