/** Reporter for vitest: appends one JSON line per finished test to the file in CLOUDMOOR_TEST_RESULTS, so that results survive a killed run. */
import { appendFileSync } from 'node:fs'
import { relative } from 'node:path'
import type { Reporter, TestCase, TestModule } from 'vitest/node'
import type { TestResult } from './results.ts'

function write(result: TestResult): void {
  const file = process.env['CLOUDMOOR_TEST_RESULTS']
  if (file === undefined) throw new Error('CLOUDMOOR_TEST_RESULTS is not set')
  appendFileSync(file, `${JSON.stringify(result)}\n`)
}

const fileOf = (module: TestModule): string => relative(process.cwd(), module.moduleId)

class NdjsonReporter implements Reporter {
  onTestCaseResult(test: TestCase): void {
    const result = test.result()
    const name = `${fileOf(test.module)} > ${test.fullName}`
    switch (result.state) {
      case 'passed':
        write({ state: 'passed', name })
        break
      case 'skipped':
        write({ state: 'skipped', name, reason: result.note ?? '' })
        break
      case 'failed':
        write({ state: 'failed', name, output: result.errors.map((error) => error.stack ?? error.message).join('\n') })
        break
      case 'pending':
        break
    }
  }

  /** A file that does not even load has no tests to report. */
  onTestModuleEnd(module: TestModule): void {
    const errors = module.errors()
    if (errors.length > 0)
      write({ state: 'failed', name: fileOf(module), output: errors.map((error) => error.stack ?? error.message).join('\n') })
  }

  onTestRunEnd(_modules: readonly TestModule[], errors: readonly { readonly message: string; readonly stack?: string }[]): void {
    for (const error of errors) write({ state: 'failed', name: 'an error outside any test', output: error.stack ?? error.message })
  }
}

// eslint-disable-next-line no-restricted-syntax -- vitest loads a reporter by its default export
export default NdjsonReporter
