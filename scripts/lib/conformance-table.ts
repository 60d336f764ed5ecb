/** Results of the conformance suite as a table: a row for each check, a column for each provider and server. */

type Cell = 'yes' | 'lack' | 'FAIL' | 'skip'

/** `conformance: PROVIDER × SERVER > group > check`, with ` [lack: ABILITY]` at the end of a check that shows a pinned lack. */
const name = /^conformance: (.+?) > (.+?)(?: \[lack: ([a-z-]+)\])?$/s

export class ConformanceTable {
  readonly #columns: string[] = []
  readonly #rows = new Map<string, Map<string, Cell>>()
  readonly #lacks = new Map<string, Set<string>>()
  readonly #skips = new Map<string, string>()

  /** @param fullName tests of other suites are left out */
  add(fullName: string, state: 'passed' | 'failed' | 'skipped', reason: string | undefined): void {
    const match = name.exec(fullName)
    // Without a reason it was not asked for.
    if (!match || (state === 'skipped' && reason === undefined)) return
    const [, column = '', check = '', lack] = match
    if (!this.#columns.includes(column)) this.#columns.push(column)
    if (state === 'skipped') this.#skips.set(`${column} > ${check}`, reason ?? '')
    if (lack !== undefined) this.#lacks.set(column, (this.#lacks.get(column) ?? new Set()).add(lack))
    const row = this.#rows.get(check) ?? new Map<string, Cell>()
    row.set(column, cellOf(state, lack !== undefined))
    this.#rows.set(check, row)
  }

  /** Nothing if no test of the suite ran. */
  lines(): string[] {
    if (this.#columns.length === 0) return []
    const columns = [...this.#columns].sort()
    const width = Math.max(...Array.from(this.#rows.keys(), (check) => oneLine(check).length))
    const row = (first: string, cells: readonly string[]) =>
      `${first.padEnd(width)}  ${cells.map((cell) => cell.padEnd(4)).join(' ')}`.trimEnd()
    return [
      'Conformance: every check on every provider and server; a lack is pinned and was shown to be one.',
      ...columns.map((column, index) => `  ${index + 1}  ${column}${this.#counts(column)}`),
      '',
      row(
        '',
        columns.map((_, index) => String(index + 1)),
      ),
      ...Array.from(this.#rows, ([check, cells]) =>
        row(
          oneLine(check),
          columns.map((column) => cells.get(column) ?? ''),
        ),
      ),
      ...Array.from(this.#skips, ([check, reason]) => `skipped: ${check}: ${reason}`),
    ]
  }

  #counts(column: string): string {
    const cells = Array.from(this.#rows.values(), (row) => row.get(column))
    const count = (wanted: Cell) => cells.filter((cell) => cell === wanted).length
    const lacks = [...(this.#lacks.get(column) ?? [])].sort()
    const counts = `: ${count('yes')} yes, ${count('lack')} lack, ${count('FAIL')} FAIL, ${count('skip')} skip`
    return lacks.length === 0 ? counts : `${counts}; lacks ${lacks.join(', ')}`
  }
}

function cellOf(state: 'passed' | 'failed' | 'skipped', lack: boolean): Cell {
  switch (state) {
    case 'passed':
      return lack ? 'lack' : 'yes'
    case 'failed':
      return 'FAIL'
    case 'skipped':
      return 'skip'
  }
}

function oneLine(check: string): string {
  return check.replace(/\s+/g, ' ')
}
