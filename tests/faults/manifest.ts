/** What a load wrote down outside of the mount, and how the mount and the remote compare with it. */
import { readFile } from 'node:fs/promises'
import { run } from '../support/installation.ts'

export interface ManifestLine {
  readonly kind: 'may' | 'close' | 'fsync' | 'going' | 'gone' | 'link' | 'error' | 'step' | 'end'
  readonly path?: string
  readonly sha?: string
  readonly size?: number
  readonly what?: string
  readonly error?: string
  readonly steps?: number
  readonly calls?: number
  /** The longest call on the mount. */
  readonly worstMs?: number
}

/** Reads what is complete: the last line may have been cut off with its program. */
export async function readManifest(file: string): Promise<ManifestLine[]> {
  const text = await readFile(file, 'utf8')
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as ManifestLine)
}

/** What was done for sure, and what may be there. Paths are those of the load. */
export interface Expectation {
  /** path -> SHA-256 of files that were closed, and not touched since. */
  readonly closed: ReadonlyMap<string, string>
  /** path -> SHA-256 of files whose last change was synced to disk. */
  readonly fsynced: ReadonlyMap<string, string>
  /** path -> every SHA-256 that it had at any time. */
  readonly versions: ReadonlyMap<string, ReadonlySet<string>>
  /** Paths whose change or removal had begun and was not seen to end. */
  readonly undecided: ReadonlySet<string>
}

export function expectationOf(lines: readonly ManifestLine[]): Expectation {
  const closed = new Map<string, string>()
  const fsynced = new Map<string, string>()
  const versions = new Map<string, Set<string>>()
  const undecided = new Set<string>()
  for (const { kind, path, sha } of lines) {
    if (path === undefined || kind === 'link') continue
    if (sha !== undefined) versions.set(path, (versions.get(path) ?? new Set()).add(sha))
    if (kind === 'may') undecided.add(path)
    if (kind === 'may' || kind === 'going' || kind === 'gone' || kind === 'close') fsynced.delete(path)
    if (kind === 'going' || kind === 'gone') closed.delete(path)
    if (kind === 'going') undecided.add(path)
    if (kind === 'close' || kind === 'fsync' || kind === 'gone') undecided.delete(path)
    if (sha !== undefined && (kind === 'close' || kind === 'fsync')) closed.set(path, sha)
    if (sha !== undefined && kind === 'fsync') fsynced.set(path, sha)
  }
  return { closed, fsynced, versions, undecided }
}

/** SHA-256 of every file below a folder, read by another process. */
export async function sums(folder: string, timeoutMs = 120_000): Promise<Map<string, string>> {
  const script = `cd "${folder}" && find . -type f -print0 | xargs -0 -r sha256sum`
  const { code, stdout, stderr } = await run('/bin/bash', ['-o', 'pipefail', '-c', script], { timeoutMs })
  if (code !== 0) throw new Error(`${folder} cannot be read: ${stderr}`)
  const found = new Map<string, string>()
  for (const line of stdout.split('\n')) {
    const match = /^([0-9a-f]{64}) [ *]\.\/(.*)$/.exec(line)
    if (match?.[1] !== undefined && match[2] !== undefined) found.set(match[2], match[1])
  }
  return found
}

/** Files that must be there and are not, or are different. */
export function missing(found: ReadonlyMap<string, string>, expected: ReadonlyMap<string, string>): string[] {
  return [...expected].flatMap(([path, sha]) => {
    const there = found.get(path)
    return there === sha ? [] : [there === undefined ? `missing ${path}` : `different ${path}`]
  })
}

/** Files that are there and never were what they are. */
export function torn(found: ReadonlyMap<string, string>, { versions }: Expectation): string[] {
  return [...found].flatMap(([path, sha]) => {
    const known = versions.get(path)
    if (known === undefined) return [`never made ${path}`]
    return known.has(sha) ? [] : [`never so ${path}`]
  })
}

/** Everything that is wrong with what is there, given that its load knows how every change ended or may have ended. */
export function differences(found: ReadonlyMap<string, string>, expected: Expectation): string[] {
  const extra = [...found.keys()].filter(
    (path) => expected.versions.has(path) && !expected.closed.has(path) && !expected.undecided.has(path),
  )
  return [...missing(found, expected.closed), ...torn(found, expected), ...extra.map((path) => `still there ${path}`)]
}
