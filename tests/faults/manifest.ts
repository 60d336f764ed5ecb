import { readFile } from 'node:fs/promises'
import { run } from '../support/installation.ts'

export interface ManifestLine {
  readonly kind: 'close' | 'fsync' | 'going' | 'gone' | 'error' | 'end'
  readonly path?: string
  readonly sha?: string
  readonly what?: string
  readonly error?: string
  readonly calls?: number
  readonly worstMs?: number
}

export async function readManifest(file: string): Promise<ManifestLine[]> {
  const text = await readFile(file, 'utf8')
  return text.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as ManifestLine)
}

/** What must be there according to the manifest: path -> SHA-256. A file whose removal had begun is not expected. */
export function expectedFiles(lines: readonly ManifestLine[]): Map<string, string> {
  const expected = new Map<string, string>()
  for (const line of lines) {
    if (line.path === undefined) continue
    if ((line.kind === 'close' || line.kind === 'fsync') && line.sha !== undefined) expected.set(line.path, line.sha)
    if (line.kind === 'going' || line.kind === 'gone') expected.delete(line.path)
  }
  return expected
}

/** Compares a folder on a mount with the manifest, by another process. Gives what is missing or different. */
export async function differences(folder: string, expected: ReadonlyMap<string, string>, timeoutMs = 120_000): Promise<string[]> {
  const { stdout } = await run('/bin/bash', ['-c', `cd "${folder}" && find . -type f -print0 | xargs -0 -r sha256sum`], { timeoutMs })
  const found = new Map<string, string>()
  for (const line of stdout.split('\n')) {
    const match = /^([0-9a-f]{64}) [ *]\.\/(.*)$/.exec(line)
    if (match?.[1] !== undefined && match[2] !== undefined) found.set(match[2], match[1])
  }
  const wrong: string[] = []
  for (const [path, sha] of expected) {
    const there = found.get(path)
    if (there === undefined) wrong.push(`missing ${path}`)
    else if (there !== sha) wrong.push(`different ${path}`)
  }
  return wrong
}

