import { randomBytes } from 'node:crypto'

const start = '.cloudmoor-measure-'

/** A name for an object with which a server is measured. */
export function measuringName(): string {
  return start + randomBytes(8).toString('hex')
}

/** Such an object is there for a second, and nobody's file: listings leave it out. */
export function isMeasuring(name: Buffer): boolean {
  return name.toString('latin1').startsWith(start)
}
