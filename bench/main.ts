/** bench/run: measures, prints the tables, keeps the results. */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { checkAgainst } from './baseline.ts'
import { openKernelTrace } from './kernel-trace.ts'
import { measure } from './measure.ts'
import type { Part } from './measure.ts'
import { loadResults, saveResults, thisMachine } from './results.ts'
import type { Results } from './results.ts'
import { openStage } from './stage.ts'
import { fullSizes, quickSizes, scenarios } from './steps.ts'
import type { Scenario } from './steps.ts'
import { costTable, countsTable, plain, tableOf } from './table.ts'
import { writePage } from './write-page.ts'

const usage = `usage: bench/run [--quick | --full] [--check | --page] [--out FILE] [--minutes N] [--anew]
  [--only SCENARIO,…] [--contestants NAME,…] [--trials N] [--near | --far] [--no-counts] [--no-touch]
  --quick     smaller sizes, at most five minutes (the default); --full: everything
  --check     compares with bench/results-quick.json, as ratios
  --page      only writes docs/performance.md, from the quick results where there are no full ones
  --minutes   begins nothing after so long; the same call goes on from there
  --anew      forgets the trials of what is measured
`
if (process.argv.includes('--help')) {
  process.stdout.write(usage)
  process.exit(0)
}

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    full: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    contestants: { type: 'string', default: '' },
    trials: { type: 'string', default: '3' },
    minutes: { type: 'string', default: '' },
    near: { type: 'boolean', default: false },
    far: { type: 'boolean', default: false },
    'no-counts': { type: 'boolean', default: false },
    'no-touch': { type: 'boolean', default: false },
    out: { type: 'string', default: '' },
    anew: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    page: { type: 'boolean', default: false },
  },
})

const begun = performance.now()
const here = import.meta.dirname
const mode = options.full ? 'full' : 'quick'
const storedAs = (kind: string): string => join(here, `results-${kind}.json`)
const stored = storedAs(mode)
const file = options.out !== '' ? options.out : mode === 'full' ? stored : ''
const sizes = mode === 'full' ? fullSizes : quickSizes
/** A quick run ends within five minutes: it begins nothing after this. */
const minutes = options.minutes === '' ? (mode === 'quick' ? 4.2 : Infinity) : Number(options.minutes)
const list = (text: string): readonly string[] => text.split(',').filter((name) => name !== '')
const say = (line: string): void => {
  process.stderr.write(`${line}\n`)
}

/** Told to end: what fails then, fails because everything is being taken away. */
let ending = false

async function run(): Promise<void> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) throw new Error('the bench mounts and drops caches: it needs root on Linux')
  const only = list(options.only)
  const wanted = ({ name, fullOnly }: Scenario): boolean => (only.length === 0 ? mode === 'full' || fullOnly !== true : only.includes(name))
  const data = new Set(
    scenarios(sizes, '')
      .filter(wanted)
      .map((scenario) => scenario.data),
  )
  await using stage = await openStage(sizes, data, list(options.contestants))
  endOnSignal(() => Promise.resolve(stage[Symbol.asyncDispose]()))
  await using trace = options['no-counts'] ? null : await openKernelTrace()
  for (const [name, why] of Object.entries(stage.missing)) say(`${name}: ${why}`)
  const parts = scenarios(sizes, stage.repository).filter(wanted).flatMap(partsOf)
  let results = without(await known(), parts)
  const complete = await measure(stage, parts, results, {
    ...{ wanted: Number(options.trials), limit: mode === 'full' ? 30 : 10, trace, say },
    counted: (name) => mode === 'full' || name === 'CloudMoor',
    touch: options['no-touch'] ? 'never' : mode === 'full' ? 'trial' : 'round',
    end: begun + minutes * 60_000,
    found: async (now) => {
      results = now
      if (file !== '') await saveResults(file, now)
    },
  })
  print(results)
  if (!complete) say(`time is up before every row had ${options.trials} trials${file === '' ? '' : '; the same call goes on from here'}`)
  if (options.check) process.exitCode = checkAgainst(await loadResults(storedAs('quick')), results, say) ? 0 : 1
}

function partsOf(scenario: Scenario): readonly Part[] {
  return [
    ...(options.far ? [] : [{ scenario, distance: 'near' } as const]),
    ...(scenario.far && !options.near && (mode === 'full' || scenario.name === 'small-1') ? [{ scenario, distance: 'far' } as const] : []),
  ]
}

async function known(): Promise<Results> {
  const before = file === '' ? null : await loadResults(file)
  const machine = thisMachine()
  return before?.mode === mode && before.machine === machine ? before : { mode, machine, trials: [], countings: [] }
}

/** With --anew these parts forget what they knew. */
function without(results: Results, parts: readonly Part[]): Results {
  if (!options.anew) return results
  const other = (one: { readonly scenario: string; readonly distance: string }): boolean =>
    !parts.some(({ scenario, distance }) => scenario.name === one.scenario && distance === one.distance)
  return { ...results, trials: results.trials.filter(other), countings: results.countings.filter(other) }
}

function endOnSignal(end: () => Promise<void>): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      ending = true
      void end().finally(() => process.exit(130))
    })
  }
}

function print(results: Results): void {
  const shown = scenarios(sizes, '')
  for (const [distance, title] of [
    ['near', '0 ms away'],
    ['far', '25 ms away'],
  ] as const) {
    process.stdout.write(`\n${title}\n${plain(tableOf(results, shown, distance))}\n`)
    process.stdout.write(`\nprocessor time and peak memory, ${title}\n${plain(costTable(results, shown, distance))}\n`)
    if (results.countings.length > 0) process.stdout.write(`\ncounts, ${title}\n${plain(countsTable(results, shown, distance))}\n`)
  }
}

if (!options.page) {
  await run().catch((error: unknown) => {
    if (!ending) throw error
    return new Promise<never>(() => undefined)
  })
}
if (options.page || (options.full && file === stored)) await writePage([storedAs('full'), storedAs('quick')])
