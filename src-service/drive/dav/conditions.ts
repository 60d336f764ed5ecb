import type { IncomingHttpHeaders } from 'node:http'
import { CloudError } from '../../common/errors.ts'
import type { Attributes } from '../vfs/filesystem.ts'

/** Changes with every change of the contents: a replaced file is another node, a changed one has another time. */
export function etagOf({ id, mtimeSec, mtimeNsec, size }: Attributes): string {
  return `"${[id, mtimeSec, mtimeNsec, size].map((number) => number.toString(36)).join('-')}"`
}

/** True if the client has these contents already (RFC 9110, 13.1.2). */
export function isKnown(headers: IncomingHttpHeaders, attributes: Attributes): boolean {
  return names(headers['if-none-match'], attributes)
}

/** Throws `conflict` where If-Match names other contents than these (RFC 9110, 13.1.1). */
export function checkRead(headers: IncomingHttpHeaders, attributes: Attributes): void {
  if (headers['if-match'] !== undefined && !names(headers['if-match'], attributes)) throw changed()
}

/** Throws `conflict` where a file is not what its change was made for. @param before null = there is none */
export function checkWrite(headers: IncomingHttpHeaders, before: Attributes | null): void {
  if (headers['if-match'] !== undefined && !names(headers['if-match'], before)) throw changed()
  if (names(headers['if-none-match'], before)) throw new CloudError('conflict', 'there is a file of this name')
}

/** False: the part that is asked for is one of other contents (RFC 9110, 13.1.5). */
export function mayBePartial(headers: IncomingHttpHeaders, attributes: Attributes): boolean {
  const part = headers['if-range']
  return part === undefined || part === etagOf(attributes)
}

function names(header: string | undefined, attributes: Attributes | null): boolean {
  if (header === undefined || attributes === null) return false
  return header.trim() === '*' || header.split(',').some((tag) => tag.trim() === etagOf(attributes))
}

function changed(): CloudError {
  return new CloudError('conflict', 'the file has other contents by now', { hint: 'Read it again and repeat the change.' })
}
