/** Reporter for vitest: prints the table of the conformance suite (check × provider and server) at the end of a run that held it. */
import type { Reporter, TestCase } from 'vitest/node'
import { ConformanceTable } from './conformance-table.ts'

class ConformanceReporter implements Reporter {
  readonly #table = new ConformanceTable()

  onTestCaseResult(test: TestCase): void {
    const { state, note } = { note: undefined, ...test.result() }
    if (state !== 'pending') this.#table.add(test.fullName, state, note)
  }

  onTestRunEnd(): void {
    const lines = this.#table.lines()
    if (lines.length > 0) process.stdout.write(`\n${lines.join('\n')}\n\n`)
  }
}

// eslint-disable-next-line no-restricted-syntax -- vitest loads a reporter by its default export
export default ConformanceReporter
