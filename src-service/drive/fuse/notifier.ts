import type { Door } from '../../common/native/native.ts'
import type { Notifier } from '../cache/notifier.ts'
import { hasEpoch, hasExpireOnly } from './init.ts'
import type { Negotiated } from './init.ts'
import { errno } from './errno.ts'
import { expireOnly, nameMax, notifyCode, replyHeader } from './protocol.ts'

const twoTo32 = 0x1_0000_0000
const body = replyHeader.size

/**
 * Tells the kernel of changes it did not ask for.
 * @param agreed what was negotiated; null before INIT, when the kernel has nothing to forget.
 */
export function createNotifier(door: Pick<Door, 'notify' | 'notifyLater'>, agreed: () => Negotiated | null): Notifier {
  const message = Buffer.alloc(body + 16 + nameMax + 1)

  const begin = (length: number, code: number): Buffer => {
    message.fill(0, 0, length)
    message.writeUInt32LE(length, replyHeader.length)
    message.writeInt32LE(code, replyHeader.error)
    return message.subarray(0, length)
  }
  const writeNode = (node: number): void => {
    message.writeUInt32LE(node % twoTo32, body)
    message.writeUInt32LE(Math.floor(node / twoTo32), body + 4)
  }

  /** 0, or a negative errno. */
  const invalidate = (node: number): number => {
    const bytes = begin(body + 24, notifyCode.invalidateInode)
    writeNode(node)
    bytes.fill(0xff, body + 8, body + 16) // offset -1: attributes alone, which never waits for pages
    return door.notify(bytes)
  }

  const notifier: Notifier = {
    attributesChanged(node) {
      if (agreed() !== null) invalidate(node)
    },
    entryChanged(parent, name) {
      const now = agreed()
      if (now === null || name.length > nameMax) return
      const bytes = begin(body + 16 + name.length + 1, notifyCode.invalidateEntry)
      writeNode(parent)
      bytes.writeUInt32LE(name.length, body + 8)
      bytes.writeUInt32LE(hasExpireOnly(now) ? expireOnly : 0, body + 12)
      name.copy(bytes, body + 16)
      if (!door.notifyLater(bytes)) notifier.everythingChanged()
    },
    everythingChanged() {
      const now = agreed()
      // An older kernel cannot be told; it was given short lives instead (`allowedLifeMs`).
      if (now !== null && hasEpoch(now)) door.notify(begin(body, notifyCode.incrementEpoch))
    },
    // fuse_reverse_inval_inode (fs/fuse/inode.c) answers ENOENT for an inode that is not in memory.
    knows: (node) => agreed() !== null && invalidate(node) !== -errno.ENOENT,
  }
  return notifier
}
