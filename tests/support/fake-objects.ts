import type { PosixAttributes, RemoteEntry, RemotePlace, RemoteType, Time } from '../../src-service/drive/connectors/connector.ts'

export interface CloudObject {
  type: RemoteType
  data: Buffer
  rev: string
  mtime: Time
  posix: PosixAttributes
}

/** Objects of a cloud by path; folders end with '/'. */
export type Objects = ReadonlyMap<string, CloudObject>

export const prefixFolder: CloudObject = { type: 'folder', data: Buffer.alloc(0), rev: '', mtime: { sec: 0, nsec: 0 }, posix: {} }

export function pathOf(place: RemotePlace): string {
  return place.path.map((name) => name.toString('latin1')).join('/')
}

export function foldersAbove(path: string): string[] {
  const parts = path.split('/').slice(0, -1)
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'))
}

export function folderExists(objects: Objects, path: string, realFolders: boolean): boolean {
  if (path === '' || objects.has(`${path}/`)) return true
  return !realFolders && [...objects.keys()].some((key) => key.startsWith(`${path}/`))
}

export function childrenOf(objects: Objects, prefix: string, realFolders: boolean): RemoteEntry[] {
  const found = new Map<string, RemoteEntry>()
  for (const [key, object] of objects) {
    if (!key.startsWith(prefix) || key.length === prefix.length) continue
    const rest = key.slice(prefix.length)
    const slash = rest.indexOf('/')
    if (slash === -1) found.set(rest, entryOf(rest, object))
    else if (slash === rest.length - 1) found.set(rest, entryOf(rest.slice(0, -1), object))
    else if (!realFolders && !found.has(rest.slice(0, slash + 1))) {
      found.set(rest.slice(0, slash + 1), entryOf(rest.slice(0, slash), objects.get(prefix + rest.slice(0, slash + 1)) ?? prefixFolder))
    }
  }
  return [...found.values()]
}

export function entryOf(path: string, object: CloudObject): RemoteEntry {
  return {
    name: Buffer.from(path.slice(path.lastIndexOf('/') + 1), 'latin1'),
    type: object.type,
    size: object.type === 'file' ? object.data.length : 0,
    mtime: object.mtime,
    rev: object.rev,
    id: null,
    posix: object.posix,
  }
}
