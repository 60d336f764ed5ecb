/** What a run found; kept as JSON so that parts of it can be measured again. */
import { readFile, writeFile } from 'node:fs/promises'
import { cpus, release, totalmem } from 'node:os'
import type { Distance } from './contestants/contestant.ts'
import type { Counted } from './trial.ts'

export interface Result {
  readonly row: string
  readonly distance: Distance
  readonly contestant: string
  /** Median in the row's unit; null where there is none, and `note` says why. */
  readonly value: number | null
  readonly note?: string
  /** See `spread`. */
  readonly spread: number
  readonly trials: number
  readonly discarded: number
  readonly noisy: boolean
  /** Of the whole scenario: seconds of processor time and MB. */
  readonly cpu: number
  readonly peak: number
  readonly counts?: Counted
}

export interface Results {
  readonly mode: 'quick' | 'full'
  readonly machine: string
  readonly results: readonly Result[]
}

export function thisMachine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor'
  return `${cpus().length} × ${model}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release().replace(/-.*/, '')}, Node ${process.versions.node}`
}

export async function loadResults(file: string): Promise<Results | null> {
  const text = await readFile(file, 'utf8').catch(() => null)
  return text === null ? null : (JSON.parse(text) as Results)
}

/** The newer results take the places of older ones of the same row, distance and contestant. */
export function mergeResults(older: Results | null, newer: Results): Results {
  if (older?.mode !== newer.mode) return newer
  const fresh = new Set(newer.results.map(keyOf))
  return { ...newer, results: [...older.results.filter((result) => !fresh.has(keyOf(result))), ...newer.results] }
}

export async function saveResults(file: string, results: Results): Promise<void> {
  await writeFile(file, `${JSON.stringify(results, null, 1)}\n`)
}

export function find(results: Results, row: string, distance: Distance, contestant: string): Result | undefined {
  return results.results.find((result) => keyOf(result) === `${row} ${distance} ${contestant}`)
}

function keyOf({ row, distance, contestant }: Result): string {
  return `${row} ${distance} ${contestant}`
}
