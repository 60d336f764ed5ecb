/** What a request for contents is about. */
export interface ContentsPath {
  readonly mountId: string
  /** Below the mount's root, for people. */
  readonly path: string
  /** The same, still encoded: names need not be UTF-8. Begins with a slash. */
  readonly encoded: string
}

/** Null: the path is not one of contents. */
export function readContentsPath(url: string): ContentsPath | null {
  const [, mountId, rest] = /^\/api\/v1\/mounts\/([^/?]+)\/content\/([^?]*)/.exec(url) ?? []
  if (mountId === undefined || rest === undefined) return null
  return { mountId: decoded(mountId), path: decoded(rest), encoded: `/${rest.replace(/%2f/gi, '/')}` }
}

/** What is not properly encoded stays as it is: nothing has such a name. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
