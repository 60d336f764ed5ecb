import { CloudError } from '../../common/errors.ts'
import type { Attributes, Filesystem } from '../vfs/filesystem.ts'

export const rootNode = 1
const typeMask = 0o170000
const folderType = 0o040000
const fileType = 0o100000

/** Where a request points: a folder that exists and a name in it; the root has none. */
export interface Target {
  readonly parent: number
  readonly name: Buffer | null
}

/** The names of an URL's path, raw bytes. Throws `invalid`. */
export function namesOf(path: string): Buffer[] {
  const names = path
    .split('/')
    .filter((part) => part !== '')
    .map(decode)
  if (names.some((name) => ['', '.', '..'].includes(name.toString('latin1')) || name.includes(0) || name.includes(0x2f)))
    throw new CloudError('invalid', 'a path that names nothing')
  return names
}

/** Percent-decoded to bytes: names need not be UTF-8. */
function decode(part: string): Buffer {
  const pieces = part.split(/(%[0-9a-fA-F]{2})/)
  return Buffer.concat(pieces.map((piece) => (/^%..$/.test(piece) ? Buffer.from(piece.slice(1), 'hex') : Buffer.from(piece))))
}

/** The same the other way round. */
export function encodeName(name: Buffer): string {
  return [...name]
    .map((byte) => (isPlain(byte) ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, '0').toUpperCase()}`))
    .join('')
}

function isPlain(byte: number): boolean {
  return /[A-Za-z0-9._~-]/.test(String.fromCharCode(byte))
}

export function isFolder(attributes: Attributes): boolean {
  return (attributes.mode & typeMask) === folderType
}

export function isFile(attributes: Attributes): boolean {
  return (attributes.mode & typeMask) === fileType
}

/** Throws not-found. */
export async function find(filesystem: Filesystem, names: readonly Buffer[]): Promise<Attributes> {
  let attributes = await filesystem.getattr(rootNode)
  for (const name of names) {
    const next = isFolder(attributes) ? await filesystem.lookup(attributes.id, name) : null
    if (next === null) throw new CloudError('not-found', 'there is nothing of this name')
    attributes = next
  }
  return attributes
}

/** Throws not-found if the folder is not there. */
export async function targetOf(filesystem: Filesystem, names: readonly Buffer[]): Promise<Target> {
  const folder = await find(filesystem, names.slice(0, -1))
  if (!isFolder(folder)) throw new CloudError('not-a-folder', 'what is above is not a folder')
  return { parent: folder.id, name: names.at(-1) ?? null }
}
