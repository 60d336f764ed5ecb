import type { Filesystem } from '../../src-service/drive/vfs/filesystem.ts'
import type { RequestLog } from '../../src-service/drive/cache/request-log.ts'
import { openSession } from '../../src-service/drive/fuse/session.ts'
import type { Session, SessionOptions } from '../../src-service/drive/fuse/session.ts'
import { memoryContents } from './contents.ts'
import { FakeDoor } from './fake-door.ts'
import { body, requestBytes, u32 } from './frames.ts'
import { memoryRequestLog } from './memory-request-log.ts'
import { TestFilesystem } from './test-filesystem.ts'

export interface FakeSession {
  readonly door: FakeDoor
  readonly session: Session
  readonly filesystem: Filesystem
  readonly logged: string[]
}

export interface FakeSessionOptions {
  readonly door?: FakeDoor
  readonly filesystem?: Filesystem
  readonly requestLog?: RequestLog
  readonly takenOver?: boolean
  readonly options?: Partial<SessionOptions>
}

/** A session on a fake door; `ready` is the caller's to await. */
export function fakeSession(how: FakeSessionOptions = {}): FakeSession {
  const door = how.door ?? new FakeDoor()
  const filesystem = how.filesystem ?? new TestFilesystem(memoryContents())
  const logged: string[] = []
  const session = openSession({
    native: door.native,
    fuseFd: -1,
    memoryFd: -1,
    filesystem,
    requestLog: how.requestLog ?? memoryRequestLog(),
    takenOver: how.takenOver ?? false,
    allowPassthrough: false,
    deadlines: { metadataMs: 15_000, readMs: 60_000 },
    onClosed: () => undefined,
    log: (level, message, fields) => void logged.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`),
    ...how.options,
  })
  return { door, session, filesystem, logged }
}

/** FUSE_INIT of a kernel that offers everything. */
export function initRequest(minor = 45, flags = 0xffffffff, flags2 = 0xffffffff): Buffer {
  return requestBytes({ opcode: 26, unique: 2, node: 0, body: body(u32(7, minor, 131072, flags, flags2), Buffer.alloc(44)) })
}
