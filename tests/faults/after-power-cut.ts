/** What may be on a disk whose power was cut, as a local file system gives it. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { shell } from '../support/installation.ts'
import { type Expectation, strange, sums, type Version } from './manifest.ts'

/** Gives the bytes of a version that the load kept. */
type Contents = (sha: string) => Promise<Buffer>

/**
 * True if the bytes are a version that was closed, changed in places by later writes that had reached the disk. Where it ended,
 * zeros may stand for writes that had not. A file that was written once is not excused by this: it has no later writes.
 */
async function isPartlyWritten(bytes: Buffer, versions: readonly Version[], contents: Contents): Promise<boolean> {
  for (const [index, { state }] of versions.entries()) {
    if (state === 'begun') continue
    const [base = bytes, ...later] = await Promise.all(versions.slice(index).map(({ sha }) => contents(sha)))
    const longest = Math.max(base.length, ...later.map(({ length }) => length))
    if (bytes.length < base.length || bytes.length > longest) continue
    const fits = (byte: number, at: number) =>
      byte === base[at] || (at >= base.length && byte === 0) || later.some((version) => version[at] === byte)
    if (bytes.every(fits)) return true
  }
  return false
}

export interface CutFindings {
  /** Files that were synced and are nowhere, or are older than that. */
  readonly lost: readonly string[]
  /** Files that are nothing that they could be. */
  readonly torn: readonly string[]
  /** Files that were closed and not synced, and are not there, or are older. */
  readonly unsynced: number
}

/**
 * Looks at a load's folder on a mount after a power cut.
 * @param contents folder where the load kept its versions
 */
export async function lookAfterCut(folder: string, expected: Expectation, contents: string): Promise<CutFindings> {
  const found = await sums(folder)
  const scratch = await mkdtemp(join(tmpdir(), 'cm-look-'))
  const read: Contents = (sha) => readFile(join(contents, sha))
  const bytesOf = async (path: string) => {
    // Read by another process: this one never touches a mount.
    await shell(`cp "${join(folder, path)}" "${scratch}/file"`)
    return readFile(join(scratch, 'file'))
  }
  const isOneOf = async (path: string, versions: readonly Version[]) =>
    versions.some(({ sha }) => sha === found.get(path)) || (await isPartlyWritten(await bytesOf(path), versions, read))
  try {
    const torn: string[] = []
    for (const what of strange(found, expected)) {
      const path = what.replace('never so ', '')
      if (what === path || !(await isOneOf(path, expected.versions.get(path) ?? []))) torn.push(what)
    }
    const lost: string[] = []
    for (const { paths, versions } of expected.promised) {
      const there = paths.filter((path) => found.has(path))
      const kept = await Promise.all(there.map((path) => isOneOf(path, versions)))
      if (!kept.includes(true)) lost.push(`${paths.join(' -> ')}: ${there.length > 0 ? 'older than what was synced' : 'missing'}`)
    }
    const unsynced = [...expected.closed].filter(([path, sha]) => found.get(path) !== sha).length
    return { lost, torn, unsynced }
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}
