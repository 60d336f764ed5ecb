/** Names of files that are still being written. They are never listed, and those of dead writers are swept. */
import { createHash, randomBytes } from 'node:crypto'
import { hostname } from 'node:os'

const prefix = Buffer.from('.cloudmoor-tmp-')
const host = createHash('sha256').update(hostname()).digest('hex').slice(0, 8)
const dayNs = 86_400_000_000_000n

export function newTempName(): Buffer {
  return Buffer.from(`${prefix.toString()}${host}-${process.pid}-${randomBytes(8).toString('hex')}`)
}

export function isTempName(name: Buffer): boolean {
  return name.subarray(0, prefix.length).equals(prefix)
}

/** True if nobody can be writing it any more: its process is gone, or it has been quiet for a day. */
export function isAbandoned(name: Buffer, mtimeNs: bigint): boolean {
  if (BigInt(Date.now()) * 1_000_000n - mtimeNs > dayNs) return true
  const [writer, pid] = name.subarray(prefix.length).toString('latin1').split('-')
  return writer === host && pid !== undefined && !isAlive(Number(pid))
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH')
  }
}
