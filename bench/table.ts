/** The results as a table, for the terminal and for the documentation. */
import type { Distance } from './contestants/contestant.ts'
import { find } from './results.ts'
import type { Result, Results } from './results.ts'
import { isRow } from './steps.ts'
import type { Row, Scenario } from './steps.ts'

export const columns = ['native', 'CloudMoor', 'rclone', 's3fs']

/** Header and rows. */
export function tableOf(results: Results, scenarios: readonly Scenario[], distance: Distance): readonly (readonly string[])[] {
  const rows = scenarios.flatMap((scenario) => scenario.rows.filter((part) => isRow(part)))
  const lines = rows.flatMap((row) => {
    const found = columns.map((name) => find(results, row.id, distance, name))
    if (found.every((result) => result === undefined)) return []
    const target = distance === 'near' ? row.target : row.targetFar
    return [[`${row.title}, ${unitText(row)}`, ...found.map(cell), target === undefined ? '' : number(target)]]
  })
  return [['', ...columns, 'to reach'], ...lines]
}

function unitText({ unit }: Row): string {
  return unit === '/s' ? 'a second' : unit
}

function cell(result: Result | undefined): string {
  if (result === undefined) return ''
  if (result.value === null) return result.note ?? '–'
  // Those without a service of their own take none of its memory.
  if (result.value === 0) return '–'
  const trust = result.trials === 1 ? '' : ` ±${Math.round(100 * result.spread)}%`
  return `${number(result.value)}${trust}${result.trials < 3 ? ` (${result.trials})` : ''}${result.noisy ? ' noisy' : ''}`
}

/** Three digits that count. */
export function number(value: number): string {
  if (value < 0.001) return '0'
  if (value >= 1000) return Math.round(value).toLocaleString('en')
  return String(Number(value.toPrecision(3)))
}

export function plain(table: readonly (readonly string[])[]): string {
  const widths = (table[0] ?? []).map((_, column) => Math.max(...table.map((line) => line[column]?.length ?? 0)))
  return table
    .map((line) =>
      line.map((text, column) => (column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0))).join('  '),
    )
    .join('\n')
}

export function markdown(table: readonly (readonly string[])[]): string {
  const [head = [], ...rest] = table
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), `|---|${'---:|'.repeat(head.length - 1)}`, ...rest.map(line)].join('\n')
}

/** What one unit of work costs, for those rows that were counted. */
export function countsTable(results: Results, scenarios: readonly Scenario[], distance: Distance): readonly (readonly string[])[] {
  const rows = scenarios.flatMap((scenario) => scenario.rows.filter((part) => isRow(part)))
  const lines = rows.flatMap((row) =>
    columns.flatMap((name) => {
      const counts = find(results, row.id, distance, name)?.counts
      if (counts === undefined) return []
      const list = (record: Readonly<Record<string, number>>, most: number): string => {
        const sorted = Object.entries(record).toSorted(([, a], [, b]) => b - a)
        return sorted
          .slice(0, most)
          .map(([key, value]) => `${key} ${number(value)}`)
          .join(', ')
      }
      const moved = (counts.http.up + counts.http.down) / 1e6
      return [[row.title, name, list(counts.requests, 5), list(counts.http.requests, 4), number(moved), number(counts.fsyncs)]]
    }),
  )
  return [['', '', 'FUSE requests', 'HTTP requests', 'MB moved', 'fsyncs'], ...lines]
}

/** Processor time and memory of each scenario. */
export function costTable(results: Results, scenarios: readonly Scenario[], distance: Distance): readonly (readonly string[])[] {
  const lines = scenarios.flatMap((scenario) => {
    const row = scenario.rows.find((part) => isRow(part))
    if (row === undefined) return []
    const found = columns.slice(1).map((name) => find(results, row.id, distance, name))
    if (found.every((result) => result === undefined)) return []
    return [
      [
        scenario.name,
        ...found.map((result) => (result === undefined || result.peak === 0 ? '' : `${number(result.cpu)} s, ${number(result.peak)} MB`)),
      ],
    ]
  })
  return [['', ...columns.slice(1)], ...lines]
}
