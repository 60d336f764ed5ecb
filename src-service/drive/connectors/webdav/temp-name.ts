/** Names of uploads that are not yet where they belong, and of what the server is tried on. They are told of in listings and never shown. */
import { randomBytes } from 'node:crypto'
import type { DavFact } from './multistatus.ts'

const prefix = Buffer.from('.cloudmoor-tmp-')
const day = 86_400_000

export function newTempName(): Buffer {
  return Buffer.from(`${prefix.toString()}${randomBytes(12).toString('hex')}`)
}

export function isTempName(name: Buffer): boolean {
  return name.subarray(0, prefix.length).equals(prefix)
}

/** Nobody can be sending it any more: it has been quiet for a day. */
export function isAbandoned({ names, modified }: DavFact): boolean {
  const name = names.at(-1)
  return name !== undefined && isTempName(name) && modified !== null && Date.now() - modified > day
}
