import type { Attributes } from '../vfs/filesystem.ts'
import { encodeName, isFolder } from './dav-tree.ts'

export const multistatusHead = '<?xml version="1.0" encoding="utf-8"?>\n<D:multistatus xmlns:D="DAV:">\n'
export const multistatusTail = '</D:multistatus>\n'

/** What PROPFIND tells of one object: all that it asks for and we have. */
export function response(names: readonly Buffer[], attributes: Attributes): string {
  const folder = isFolder(attributes)
  const modified = new Date(attributes.mtimeSec * 1000).toUTCString()
  const kind = folder
    ? '<D:resourcetype><D:collection/></D:resourcetype>'
    : `<D:resourcetype/><D:getcontentlength>${attributes.size}</D:getcontentlength>`
  return `<D:response><D:href>${hrefOf(names, folder)}</D:href><D:propstat><D:prop>${kind}<D:getlastmodified>${modified}</D:getlastmodified></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>\n`
}

/** The answer to a PROPPATCH of the time of change. */
export function timeWasSet(names: readonly Buffer[], folder: boolean): string {
  return `<D:response><D:href>${hrefOf(names, folder)}</D:href><D:propstat><D:prop><D:lastmodified/></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>\n`
}

function hrefOf(names: readonly Buffer[], folder: boolean): string {
  return names.map((name) => `/${encodeName(name)}`).join('') + (folder ? '/' : '')
}
