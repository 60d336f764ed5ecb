/** bench/run: measures, prints the tables, keeps the results. */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openKernelTrace } from './kernel-trace.ts'
import { measureScenario } from './measure.ts'
import { checkAgainst } from './baseline.ts'
import { loadResults, mergeResults, saveResults, thisMachine } from './results.ts'
import type { Result } from './results.ts'
import { openStage } from './stage.ts'
import { fullSizes, quickSizes, scenarios } from './steps.ts'
import { costTable, countsTable, plain, tableOf } from './table.ts'
import { writePage } from './write-page.ts'

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    full: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    contestants: { type: 'string', default: '' },
    trials: { type: 'string', default: '3' },
    near: { type: 'boolean', default: false },
    far: { type: 'boolean', default: false },
    'no-counts': { type: 'boolean', default: false },
    'no-touch': { type: 'boolean', default: false },
    out: { type: 'string', default: '' },
    check: { type: 'boolean', default: false },
    page: { type: 'boolean', default: false },
  },
})

const here = import.meta.dirname
const mode = options.full ? 'full' : 'quick'
const stored = join(here, 'results.json')
const file = options.out === '' ? (mode === 'full' ? stored : '') : options.out
const sizes = mode === 'full' ? fullSizes : quickSizes
const list = (text: string): readonly string[] => text.split(',').filter((name) => name !== '')
const say = (line: string): void => {
  process.stderr.write(`${line}\n`)
}

/** Told to end: what fails then, fails because everything is being taken away. */
let ending = false

async function run(): Promise<void> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) throw new Error('the bench mounts and drops caches: it needs root on Linux')
  const only = list(options.only)
  const chosen = scenarios(sizes, '').filter(({ name, fullOnly }) =>
    only.length === 0 ? mode === 'full' || fullOnly !== true : only.includes(name),
  )
  const data = new Set(chosen.map((scenario) => scenario.data))
  await using stage = await openStage(sizes, data, list(options.contestants))
  const end = (): Promise<void> => Promise.resolve(stage[Symbol.asyncDispose]())
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      ending = true
      void end().finally(() => process.exit(130))
    })
  }
  await using trace = options['no-counts'] || mode === 'quick' ? null : await openKernelTrace()
  for (const [name, why] of Object.entries(stage.missing)) say(`${name}: ${why}`)
  const found: Result[] = []
  const measuring = { wanted: Number(options.trials), limit: mode === 'full' ? 120 : 30, trace, touch: !options['no-touch'], say }
  for (const scenario of scenarios(sizes, stage.repository).filter(({ name }) => chosen.some((one) => one.name === name))) {
    if (!options.far) found.push(...(await measureScenario(stage, scenario, 'near', measuring)))
    if (scenario.far && !options.near) found.push(...(await measureScenario(stage, scenario, 'far', measuring)))
  }
  const newer = { mode, machine: thisMachine(), results: found } as const
  const results = file === '' ? newer : mergeResults(await loadResults(file), newer)
  if (file !== '') await saveResults(file, results)
  const shown = scenarios(sizes, '')
  for (const [distance, title] of [
    ['near', '0 ms away'],
    ['far', '25 ms away'],
  ] as const) {
    process.stdout.write(`\n${title}\n${plain(tableOf(results, shown, distance))}\n`)
    process.stdout.write(`\nprocessor time and peak memory, ${title}\n${plain(costTable(results, shown, distance))}\n`)
    if (trace !== null) process.stdout.write(`\ncounts, ${title}\n${plain(countsTable(results, shown, distance))}\n`)
  }
  if (options.check) process.exitCode = checkAgainst(await loadResults(stored), newer, say) ? 0 : 1
}

if (!options.page) {
  await run().catch((error: unknown) => {
    if (!ending) throw error
    return new Promise<never>(() => undefined)
  })
}
if (options.page || options.full) await writePage(stored)
