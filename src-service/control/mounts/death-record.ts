import { readSync } from 'node:fs'
import { header } from '../../common/native/native.ts'

export interface Death {
  /** Deaths in a row with no request answered in between, this one included; 0 if nothing was waiting for the worker. */
  readonly fruitless: number
  /** The request that was being dispatched; 0 = none. */
  readonly named: bigint
  /** At how many deaths in a row this request was named. */
  readonly namedTimes: number
}

/**
 * Books the death of a worker in the header page of the request memory, where its successor reads it: a request named
 * at two deaths in a row is answered EIO. Call it when the worker is gone, or surely runs no more.
 * @param wasNeeded the worker had not begun to serve, or left requests unanswered: an idle worker's death proves nothing.
 */
export function bookDeath(page: Buffer, wasNeeded: boolean): Death {
  const named = page.readBigUInt64LE(header.dispatching)
  if (named !== 0n) {
    const again = page.readBigUInt64LE(header.blamedUnique) === named
    page.writeUInt32LE(again ? page.readUInt32LE(header.blamedDeaths) + 1 : 1, header.blamedDeaths)
    page.writeBigUInt64LE(named, header.blamedUnique)
    page.writeBigUInt64LE(0n, header.dispatching)
  }
  const answered = page.readBigUInt64LE(header.answered)
  const again = answered === page.readBigUInt64LE(header.answeredAtLastDeath)
  const before = again ? page.readUInt32LE(header.fruitlessDeaths) : 0
  const fruitless = wasNeeded ? before + 1 : 0
  page.writeUInt32LE(fruitless, header.fruitlessDeaths)
  page.writeBigUInt64LE(answered, header.answeredAtLastDeath)
  return { fruitless, named, namedTimes: named === 0n ? 0 : page.readUInt32LE(header.blamedDeaths) }
}

/** Offset of `unique` in fuse_in_header. */
const uniqueOffset = 8

/** True if the request memory holds a request that was read and not answered. Reads memory, never a disk. */
export function holdsRequests(memoryFd: number, page: Buffer): boolean {
  const unique = Buffer.alloc(8)
  const areas = [
    { count: page.readUInt32LE(header.slotCount), size: page.readUInt32LE(header.slotSize), offset: page.readUInt32LE(header.slotsOffset) },
    { count: page.readUInt32LE(header.slabCount), size: page.readUInt32LE(header.slabSize), offset: page.readUInt32LE(header.slabsOffset) },
  ]
  for (const area of areas) {
    for (let index = 0; index < area.count; index++) {
      readSync(memoryFd, unique, 0, 8, area.offset + index * area.size + uniqueOffset)
      if (unique.readBigUInt64LE(0) !== 0n) return true
    }
  }
  return false
}

/** How many deaths lie within the last minute. Keeps no more than it needs to tell. */
export class DeathRate {
  #times: number[] = []

  /** @param now milliseconds, monotonic. @returns deaths within the last minute, this one included, at most 100. */
  record(now: number): number {
    this.#times = [...this.#times.filter((time) => now - time < 60_000), now].slice(-100)
    return this.#times.length
  }
}
