import { closeSync, fstatSync, ftruncateSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { CloudError } from '../../src-service/common/errors.ts'

/** Where the bytes of files are. */
export interface Contents {
  size(node: number): number
  read(node: number, offset: number, length: number, target: Buffer, targetOffset: number): number
  write(node: number, data: Buffer, dataOffset: number, length: number, position: number): void
  truncate(node: number, size: number): void
}

/** @param most bytes of one file. */
export function memoryContents(most = 2 ** 32): Contents {
  const files = new Map<number, { bytes: Buffer; size: number }>()
  const file = (node: number): { bytes: Buffer; size: number } => {
    const known = files.get(node) ?? { bytes: Buffer.alloc(0), size: 0 }
    files.set(node, known)
    return known
  }
  const grow = (node: number, size: number): { bytes: Buffer; size: number } => {
    if (size > most) throw new CloudError('too-large', 'file too large for this memory')
    const f = file(node)
    if (size > f.bytes.length) f.bytes = Buffer.concat([f.bytes], Math.max(size, f.bytes.length * 2))
    f.size = Math.max(f.size, size)
    return f
  }
  return {
    size: (node) => files.get(node)?.size ?? 0,
    read(node, offset, length, target, targetOffset) {
      const f = file(node)
      return offset >= f.size ? 0 : f.bytes.copy(target, targetOffset, offset, Math.min(offset + length, f.size))
    },
    write: (node, data, dataOffset, length, position) => {
      data.copy(grow(node, position + length).bytes, position, dataOffset, dataOffset + length)
    },
    truncate(node, size) {
      const f = grow(node, size)
      f.bytes.fill(0, size, f.bytes.length)
      f.size = size
    },
  }
}

/** One file per node in a folder: survives the process. */
export function fileContents(folder: string): Contents {
  mkdirSync(folder, { recursive: true })
  const open = new Map<number, number>()
  const fd = (node: number): number => {
    const known = open.get(node)
    if (known !== undefined) return known
    if (open.size >= 200) {
      for (const other of open.values()) closeSync(other)
      open.clear()
    }
    // 'a+' would append; this creates without truncating.
    const made = openSync(join(folder, String(node)), 0o102, 0o600)
    open.set(node, made)
    return made
  }
  return {
    size: (node) => fstatSync(fd(node)).size,
    read: (node, offset, length, target, targetOffset) => readSync(fd(node), target, targetOffset, length, offset),
    write: (node, data, dataOffset, length, position) => {
      writeSync(fd(node), data, dataOffset, length, position)
    },
    truncate: (node, size) => ftruncateSync(fd(node), size),
  }
}
