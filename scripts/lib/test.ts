/**
 * Runs every suite and sums up. Usage: scripts/test [--quick | --proof]
 * The last line is `N passed, N failed, N skipped`; exit code 1 if anything failed.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checks, runChecks } from './checks.ts'
import { clearLeftovers, runMark } from './leftovers.ts'
import { counts, details, suiteLine } from './results.ts'
import type { SuiteResult, TestResult } from './results.ts'
import { root, runCommand } from './run-command.ts'

const minute = 60_000
const mode = process.argv[2] ?? '--default'
if (!['--default', '--quick', '--proof'].includes(mode)) {
  process.stderr.write('usage: scripts/test [--quick | --proof]\n')
  process.exit(2)
}

/** Everything a run makes lies below this folder, so that what is left of it can be found. */
const temporary = mkdtempSync(join(tmpdir(), 'cloudmoor-test-'))
// Tests of other users' rights work in it too.
chmodSync(temporary, 0o755)
const mark = `${process.pid}-${Date.now()}`
const environment = {
  TMPDIR: temporary,
  [runMark]: mark,
  // Tests that repeat a fault do it many more times when this is set.
  ...(mode === '--proof' ? { CLOUDMOOR_PROOF: '1' } : {}),
}

async function lintSuite(): Promise<TestResult[]> {
  return (await runChecks(checks)).map(({ name, outcome }) => ({ ...outcome, name: `lint > ${name}` }))
}

function readResults(file: string): TestResult[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as TestResult)
}

async function vitestSuite(project: string, deadlineMs: number): Promise<TestResult[]> {
  const file = join(temporary, `${project}.ndjson`)
  writeFileSync(file, '')
  const reporters = ['default', './scripts/lib/ndjson-reporter.ts', './scripts/lib/conformance-reporter.ts']
  const args = ['run', '--project', project, ...reporters.flatMap((reporter) => ['--reporter', reporter])]
  const run = await runCommand(join(root, 'node_modules/.bin/vitest'), args, {
    deadlineMs,
    env: { ...environment, CLOUDMOOR_TEST_RESULTS: file, NO_COLOR: '1' },
    onOutput: (text) => process.stdout.write(text),
  })
  const results = readResults(file)
  for (const result of results) {
    if (result.state === 'skipped' && result.reason === '') {
      results[results.indexOf(result)] = { ...result, reason: 'no reason given' }
    }
  }
  if (run.timedOut) results.push({ state: 'failed', name: project, output: `not done after ${deadlineMs / minute} minutes` })
  else if (run.code !== 0 && !results.some((result) => result.state === 'failed')) {
    results.push({ state: 'failed', name: project, output: `vitest ended with ${run.code ?? 'a signal'}:\n${run.output}` })
  }
  const left = await clearLeftovers(mark, temporary)
  if (left.length > 0) results.push({ state: 'failed', name: `${project} > leaves nothing behind`, output: left.join('\n') })
  return results
}

/** The C of the addon by itself: plainly, under sanitizers and under valgrind. Its last line tells the checks. */
async function nativeSuite(): Promise<TestResult[]> {
  const name = 'native > C tests plainly, under sanitizers and valgrind'
  if (process.platform !== 'linux') return [{ state: 'skipped', name, reason: 'the addon is for Linux only' }]
  const run = await runCommand(join(root, 'tests/native/run'), [], {
    deadlineMs: 10 * minute,
    env: environment,
    onOutput: (text) => process.stdout.write(text),
  })
  if (run.code !== 0 || run.timedOut) return [{ state: 'failed', name, output: run.output }]
  const missing = /valgrind is missing[^\n]*/.exec(run.output)?.[0]
  const passed: TestResult = { state: 'passed', name }
  return missing === undefined ? [passed] : [passed, { state: 'skipped', name: 'native > valgrind', reason: missing }]
}

const suites: readonly { readonly name: string; readonly quick: boolean; readonly run: () => Promise<TestResult[]> }[] = [
  { name: 'lint', quick: true, run: lintSuite },
  { name: 'unit', quick: true, run: () => vitestSuite('unit', 10 * minute) },
  { name: 'fences', quick: true, run: () => vitestSuite('fences', 5 * minute) },
  { name: 'native', quick: false, run: nativeSuite },
  { name: 'side-by-side', quick: false, run: () => vitestSuite('side-by-side', 30 * minute) },
  { name: 'integration', quick: false, run: () => vitestSuite('integration', (mode === '--proof' ? 180 : 60) * minute) },
]

async function main(): Promise<void> {
  const done: SuiteResult[] = []
  try {
    for (const suite of suites) {
      if (mode === '--quick' && !suite.quick) continue
      process.stdout.write(`\n== ${suite.name}\n`)
      const begun = performance.now()
      const results = await suite.run()
      done.push({ suite: suite.name, results, milliseconds: performance.now() - begun })
    }
  } finally {
    await clearLeftovers(mark, temporary)
    rmSync(temporary, { recursive: true, force: true, maxRetries: 3 })
  }
  const all = done.flatMap((suite) => suite.results)
  process.stdout.write(['', ...details(all), '', ...done.map(suiteLine), counts(all)].join('\n') + '\n')
  process.exitCode = all.some((result) => result.state === 'failed') ? 1 : 0
}

await main()
