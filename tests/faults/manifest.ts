/** What a load wrote down outside of the mount, and how the mount and the remote compare with it. */
import { readFile } from 'node:fs/promises'
import { run } from '../support/installation.ts'

export interface ManifestLine {
  readonly kind: 'may' | 'close' | 'fsync' | 'going' | 'gone' | 'link' | 'error' | 'step' | 'end'
  readonly path?: string
  /** The file was called so before. */
  readonly from?: string
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

/** What a file was at one moment. */
export interface Version {
  readonly sha: string
  /** Closed: the file as its program wanted it; else it was being written. */
  readonly state: 'begun' | 'closed' | 'synced'
}

/** A file that was synced to disk at some time, and not removed since. */
export interface Promised {
  /** Its names, of which it has one. */
  readonly paths: readonly string[]
  /** From the synced version on. */
  readonly versions: readonly Version[]
}

/** What was done for sure, and what may be there. Paths are those of the load. */
export interface Expectation {
  /** path -> SHA-256 of files that were closed, and not touched since. */
  readonly closed: ReadonlyMap<string, string>
  /** path -> everything that it was, under earlier names too. */
  readonly versions: ReadonlyMap<string, readonly Version[]>
  readonly promised: readonly Promised[]
  /** Paths whose change or removal had begun and was not seen to end. */
  readonly undecided: ReadonlySet<string>
}

export function expectationOf(lines: readonly ManifestLine[]): Expectation {
  const closed = new Map<string, string>()
  const versions = new Map<string, Version[]>()
  const names = new Map<string, string[]>()
  const removed = new Set<string>()
  const undecided = new Set<string>()
  for (const { kind, path, from, sha, what } of lines) {
    if (path === undefined || kind === 'link') continue
    const known = versions.get(path) ?? [...(versions.get(from ?? '') ?? [])]
    versions.set(path, known)
    if (from !== undefined) names.set(path, [...(names.get(from) ?? [from]), path])
    if (sha !== undefined) known.push({ sha, state: kind === 'may' ? 'begun' : kind === 'fsync' ? 'synced' : 'closed' })
    if (kind === 'may' || kind === 'going') undecided.add(path)
    else undecided.delete(path)
    if (kind === 'going' || kind === 'gone') closed.delete(path)
    if (kind === 'going' && what === 'unlink') removed.add(path)
    if (sha !== undefined && kind !== 'may') closed.set(path, sha)
  }
  const last = new Set(versions.keys())
  for (const earlier of names.values()) for (const path of earlier.slice(0, -1)) last.delete(path)
  const promised = [...last].flatMap((path) => {
    const all = versions.get(path) ?? []
    const synced = all.findLastIndex(({ state }) => state === 'synced')
    return synced < 0 || removed.has(path) ? [] : [{ paths: names.get(path) ?? [path], versions: all.slice(synced) }]
  })
  return { closed, versions, promised, undecided }
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
export function strange(found: ReadonlyMap<string, string>, { versions }: Expectation): string[] {
  return [...found].flatMap(([path, sha]) => {
    const known = versions.get(path)
    if (known === undefined) return [`never made ${path}`]
    return known.some((version) => version.sha === sha) ? [] : [`never so ${path}`]
  })
}

/** Everything that is wrong with what is there, given that its load knows how every change ended or may have ended. */
export function differences(found: ReadonlyMap<string, string>, expected: Expectation): string[] {
  const extra = [...found.keys()].filter(
    (path) => expected.versions.has(path) && !expected.closed.has(path) && !expected.undecided.has(path),
  )
  return [...missing(found, expected.closed), ...strange(found, expected), ...extra.map((path) => `still there ${path}`)]
}
