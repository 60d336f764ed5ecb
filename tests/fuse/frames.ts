/** Builds requests as the kernel would. */
export interface Frame {
  readonly opcode: number
  readonly unique: number
  readonly node: number
  readonly body: Buffer
}

export function requestBytes({ opcode, unique, node, body }: Frame): Buffer {
  const bytes = Buffer.alloc(40 + body.length)
  bytes.writeUInt32LE(bytes.length, 0)
  bytes.writeUInt32LE(opcode, 4)
  bytes.writeBigUInt64LE(BigInt(unique), 8)
  bytes.writeBigUInt64LE(BigInt(node), 16)
  bytes.writeUInt32LE(1000, 24)
  bytes.writeUInt32LE(1001, 28)
  bytes.writeUInt32LE(4242, 32)
  body.copy(bytes, 40)
  return bytes
}

export function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  values.forEach((value, i) => bytes.writeUInt32LE(value >>> 0, i * 4))
  return bytes
}

export function u64(...values: (number | bigint)[]): Buffer {
  const bytes = Buffer.alloc(values.length * 8)
  values.forEach((value, i) => bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), i * 8))
  return bytes
}

/** Text with the NUL that ends it. */
export function text(value: string): Buffer {
  return Buffer.from(`${value}\0`)
}

export function body(...parts: Buffer[]): Buffer {
  return Buffer.concat(parts)
}
