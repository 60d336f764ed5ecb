import fc from 'fast-check'
import { opcodes } from '../../src-service/drive/fuse/protocol.ts'
import { body, requestBytes, text, u32, u64 } from './frames.ts'

const unanswered: readonly number[] = [opcodes.forget, opcodes.batchForget, opcodes.interrupt, opcodes.notifyReply]

/** Whether the kernel would wait for an answer to this frame. A frame without a whole header cannot be answered. */
export function expectsAnswer(frame: Buffer): boolean {
  return frame.length >= 40 && !unanswered.includes(frame.readUInt32LE(4))
}

/** Gives a frame the id of its place in the run, so that answers can be told apart. */
export function withUnique(frame: Buffer, unique: number): Buffer {
  const copy = Buffer.from(frame)
  if (copy.length >= 16) copy.writeBigUInt64LE(BigInt(unique), 8)
  return copy
}

const anyOpcode = fc.oneof(
  { weight: 12, arbitrary: fc.integer({ min: 0, max: 60 }) },
  { weight: 1, arbitrary: fc.constantFrom(4096, 1048576, 436207616, 0xffffffff) },
)
const anyNode = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(1n, 2n, 3n, 4n, 5n) },
  { weight: 1, arbitrary: fc.constantFrom(0n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n) },
)
const anyU32 = fc.oneof(fc.constantFrom(0, 1, 2, 3, 8, 4096, 65536, 0x7fffffff, 0xffffffff), fc.nat(0xffffffff))
const anyU64 = fc.oneof(
  fc.constantFrom(0n, 1n, 2n, 3n, 4n, 5n, 100n, 2n ** 32n, 2n ** 53n, 2n ** 63n - 1n, 2n ** 64n - 1n),
  fc.bigInt(0n, 2n ** 64n - 1n),
)
const anyName = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('a', 'b', 'c', 'folder', 'absent') },
  { weight: 2, arbitrary: fc.constantFrom('', '.', '..', 'a/b', '/', 'x'.repeat(255), 'x'.repeat(256), 'x'.repeat(1024)) },
  { weight: 1, arbitrary: fc.string({ maxLength: 40 }) },
)

/** Bodies made of what real ones are made of, in any order. */
const plausibleBody = fc
  .array(
    fc.oneof(
      anyU32.map((value) => u32(value)),
      anyU64.map((value) => u64(value)),
      anyName.map(text),
      anyName.map((name) => Buffer.from(name)),
    ),
    { maxLength: 12 },
  )
  .map((parts) => body(...parts))

/** Right bodies of the requests with the most parsing. */
const rightBody = fc.tuple(anyU64, anyU64, anyU32, anyU32, anyName, anyName).map(([a, b, c, d, first, second]) => {
  const layouts: Readonly<Record<number, Buffer>> = {
    [opcodes.lookup]: text(first),
    [opcodes.symlink]: body(text(first), text(second)),
    [opcodes.mknod]: body(u32(c, d, 0, 0), text(first)),
    [opcodes.mkdir]: body(u32(c, 0), text(first)),
    [opcodes.unlink]: text(first),
    [opcodes.rmdir]: text(first),
    [opcodes.rename]: body(u64(1), text(first), text(second)),
    [opcodes.rename2]: body(u64(1), u32(c & 3, 0), text(first), text(second)),
    [opcodes.link]: body(u64(2), text(first)),
    [opcodes.create]: body(u32(0o102, 0o644, 0, 0), text(first)),
    [opcodes.write]: body(u64(5, b % 4096n), u32(first.length, d), u64(0), u32(0, 0), Buffer.from(first)),
    [opcodes.read]: body(u64(5, b), u32(c, 0), u64(0), u32(0, 0)),
    [opcodes.readdir]: body(u64(2, b), u32(c, 0), u64(0), u32(0, 0)),
    [opcodes.readdirplus]: body(u64(2, a), u32(c, 0), u64(0), u32(0, 0)),
    [opcodes.setattr]: body(u32(c, 0), u64(a, b % 100_000n, 0, a, b, 0), u32(d, 5, 6, 7, 0, 8, 9, 0)),
    [opcodes.setxattr]: body(u32(second.length, 0, 0, 0), text(first), Buffer.from(second)),
    [opcodes.fallocate]: body(u64(5, a, b), u32(c, 0)),
    [opcodes.copyFileRange]: body(u64(5, a, 2, 5, b), u64(BigInt(c)), u64(0)),
  }
  return layouts
})

const rightFrame = fc
  .tuple(rightBody, anyNode)
  .chain(([layouts, node]) =>
    fc.constantFrom(...Object.keys(layouts).map(Number)).map((opcode) => frame(opcode, node, layouts[opcode] ?? Buffer.alloc(0))),
  )

function frame(opcode: number, node: bigint, content: Buffer): Buffer {
  const bytes = requestBytes({ opcode, unique: 0, node: 0, body: content })
  bytes.writeBigUInt64LE(node, 16)
  return bytes
}

/** Truncated, padded with garbage, lying about its length or extensions, or with bytes overwritten. */
function damaged(of: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  return fc
    .tuple(of, fc.constantFrom('cut', 'grow', 'length', 'extensions', 'byte'), fc.nat(), fc.nat(255))
    .map(([bytes, how, where, value]) => {
      const copy = Buffer.from(bytes)
      switch (how) {
        case 'cut':
          return copy.subarray(0, where % copy.length)
        case 'grow':
          return Buffer.concat([copy, Buffer.alloc(where % 64, value)])
        case 'length':
          copy.writeUInt32LE(where, 0)
          return copy
        case 'extensions':
          copy.writeUInt16LE(where % 65536, 36)
          return copy
        case 'byte':
          copy[16 + (where % (copy.length - 16))] = value
          return copy
      }
    })
}

const plausibleFrame = fc.tuple(anyOpcode, anyNode, plausibleBody).map(([opcode, node, content]) => frame(opcode, node, content))
const randomFrame = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes))

/** Requests as no honest kernel sends them, among right ones; each fits a slot. */
export const hostileFrame: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 4, arbitrary: rightFrame },
  { weight: 4, arbitrary: damaged(rightFrame) },
  { weight: 3, arbitrary: plausibleFrame },
  { weight: 2, arbitrary: damaged(plausibleFrame) },
  { weight: 1, arbitrary: randomFrame },
)
