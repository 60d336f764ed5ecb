/** bench/api/run: how long calls take while many clients ask and watch, alone and beside a mount that works. */
import { execFile } from 'node:child_process'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { localCloud } from '../../tests/support/clouds.ts'
import { Installation } from '../../tests/support/installation.ts'
import type { Step } from '../steps.ts'
import { fullLoad, growthOf, putUnderLoad, quantile } from './load.ts'
import type { LoadResult } from './load.ts'
import type { Target } from './clients.ts'

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: String(fullLoad.seconds) }, only: { type: 'string', default: 'alone,beside' } },
})
const load = { ...fullLoad, seconds: Number(values.seconds) }
const say = (line: string) => void process.stdout.write(`${line}\n`)
const limits = { alone: 50, beside: 150, memory: 250, growth: 5, loss: 0.1 }
const faults: string[] = []

function check(isGood: boolean, text: string): void {
  say(`${isGood ? ' ' : '!'} ${text}`)
  if (!isGood) faults.push(text)
}

function tell(name: 'alone' | 'beside', result: LoadResult): void {
  const p99 = quantile(result.waits, 0.99)
  const errors = Object.entries(result.errors)
  say(`${name}: ${result.calls} calls, ${result.changes} of them changes; ${load.streams} streams heard ${result.heard} of them`)
  check(errors.length === 0, `errors: ${errors.length === 0 ? 'none' : errors.map(([what, times]) => `${times} × ${what}`).join('; ')}`)
  check(
    p99 <= limits[name],
    `ms: ${quantile(result.waits, 0.5).toFixed(1)} median, ${p99.toFixed(1)} p99 (at most ${limits[name]}), ${quantile(result.waits, 1).toFixed(1)} at most`,
  )
  check(result.upToDate === load.streams, `streams: ${result.upToDate} of ${load.streams} up to date, ${result.resets} began anew`)
  const growth = growthOf(result.memory)
  check(Math.max(...result.memory) <= limits.memory, `memory: ${Math.max(...result.memory).toFixed(0)} MB (at most ${limits.memory})`)
  check(growth <= limits.growth, `memory over the last 30 s: ${growth >= 0 ? '+' : ''}${growth.toFixed(1)} MB (at most +${limits.growth})`)
}

const run = promisify(execFile)
const step = async (folder: string, work: Step): Promise<number> => {
  const argument = JSON.stringify({ step: work, folder })
  const flags = ['--experimental-strip-types', '--disable-warning=ExperimentalWarning']
  return Number((await run(process.execPath, [...flags, join(import.meta.dirname, '../load.ts'), argument])).stdout)
}

/** What the mount does meanwhile, over and over; each gives a figure of which more is better. */
const works: Readonly<Record<string, (mount: string) => Promise<number>>> = {
  'write MB/s': (mount) => step(mount, { do: 'write', file: 'written', size: 256e6, block: 1024 * 1024 }),
  'read MB/s': (mount) => step(mount, { do: 'read', file: 'written', block: 1024 * 1024 }),
  'create files/s': async (mount) => {
    const made = await step(mount, { do: 'create', folder: 'made', count: 500, size: 4096 })
    await step(mount, { do: 'remove', folder: 'made' })
    return made
  },
}

type Figures = Record<string, number[]>

async function workUntil(mount: string, isOver: () => boolean): Promise<Figures> {
  const figures: Figures = {}
  while (!isOver()) for (const [name, work] of Object.entries(works)) (figures[name] ??= []).push(await work(mount))
  return figures
}

const median = (numbers: readonly number[] = []): number =>
  quantile(
    numbers.toSorted((one, other) => one - other),
    0.5,
  )

async function beside(target: Target, pid: number, mount: string): Promise<void> {
  const alone = async () => {
    const end = performance.now() + 15_000
    return workUntil(mount, () => performance.now() > end)
  }
  const before = await alone()
  let over = false
  const working = workUntil(mount, () => over)
  const result = await putUnderLoad(target, pid, load)
  over = true
  const meanwhile = await working
  const after = await alone()
  tell('beside', result)
  for (const name of Object.keys(works)) {
    const quiet = median([...(before[name] ?? []), ...(after[name] ?? [])])
    const busy = median(meanwhile[name])
    const loss = 1 - busy / quiet
    check(
      loss <= limits.loss,
      `mount, ${name}: ${quiet.toFixed(0)} alone, ${busy.toFixed(0)} beside: ${(loss * 100).toFixed(0)} % less (at most ${limits.loss * 100} %)`,
    )
  }
}

await using cloud = await localCloud()
await using place = await Installation.create()
await place.account('cloud', cloud.account)
const mount = await place.mount('drive', 'cloud', ['--option', 'writeBackSeconds=3600'])
await mkdir(join(mount, 'some'))
const token = (await place.cloudmoor(['token', 'create', 'bench', '--role', 'admin'])).trim()
const { service } = await place.status()
const { url } = JSON.parse(await readFile(join(place.home, 'run/web.json'), 'utf8')) as { url: string }
const found = JSON.parse(await place.cloudmoor(['mount', 'list', '--json'])) as readonly { readonly id: string }[]
const target: Target = { url, token, mountId: found[0]?.id ?? '' }
const only = values.only.split(',')
if (only.includes('alone')) tell('alone', await putUnderLoad(target, service?.pid ?? 0, load))
if (only.includes('beside')) await beside(target, service?.pid ?? 0, mount)
process.exitCode = faults.length === 0 ? 0 : 1
