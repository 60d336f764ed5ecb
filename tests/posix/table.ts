/** How the table is written down, and how it is run. */
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Steps, separated by ';'. A step is a call of driver.c with its fields, then what it gives after '=>', if that is not 0: an errno or
 * what it prints. `{n}` is a name of n bytes, `{path}` a path longer than PATH_MAX, `{empty}` an empty one, `_` in a text a space.
 * Names of `fixtures` that occur are made first, unless the case is `bare`.
 */
export interface Case {
  readonly name: string
  readonly steps: string
  readonly bare?: true
}

interface Step {
  readonly fields: readonly string[]
  readonly expected: string
}

/** What a case may name without making it. */
const fixtures: Readonly<Record<string, readonly string[]>> = {
  f: ['put f hello'],
  d: ['mkdir d'],
  full: ['mkdir full', 'put full/in hello'],
  p: ['mkfifo p'],
  s: ['bind s'],
  b: ['mknod b b 0644 1 2'],
  c: ['mknod c c 0644 1 2'],
  lf: ['put f hello', 'symlink f lf'],
  ld: ['mkdir d', 'symlink d ld'],
  dang: ['symlink nowhere dang'],
  loop: ['symlink loop loop'],
  locked: ['mkdir locked 0700', 'put locked/in hello'],
}

function expand(field: string): string {
  if (field === '{empty}') return ''
  return field
    .replaceAll('{path}', `${'d/'.repeat(2047)}xx`)
    .replaceAll(/\{(\d+)\}/g, (_, length: string) => 'n'.repeat(Number(length)))
    .replaceAll('_', ' ')
}

function stepOf(text: string): Step {
  const [call = '', expected = '0'] = text.split('=>').map((part) => part.trim())
  return { fields: call.split(/ +/).map(expand), expected: expand(expected) }
}

function stepsOf({ steps, bare }: Case): Step[] {
  const own = steps.split(';').filter((text) => text.trim() !== '')
  if (bare) return own.map(stepOf)
  const used = new Set(
    own.flatMap((text) => (text.split('=>')[0] ?? '').trim().split(/ +/).slice(1)).map((field) => field.split('/')[0] ?? ''),
  )
  const setup = [...used].flatMap((name) => (Object.hasOwn(fixtures, name) ? (fixtures[name] ?? []) : []))
  return [...new Set(setup), ...own].map(stepOf)
}

/** Needs another user, or the right to make devices. */
function needsRoot(one: Case): boolean {
  return stepsOf(one).some(
    ({ fields: [call = '', , kind = ''] }) => call.startsWith('@') || call.endsWith('chown') || (call === 'mknod' && 'bc'.includes(kind)),
  )
}

export interface Totals {
  readonly cases: number
  readonly calls: number
  readonly skipped: number
  /** `case: call => got, not expected`. */
  readonly wrong: readonly string[]
  readonly milliseconds: number
}

/** Runs all cases in a new folder below `place`. */
export async function runTable(driver: string, place: string, table: readonly Case[]): Promise<Totals> {
  const begun = performance.now()
  const runnable = process.getuid?.() === 0 ? table : table.filter((one) => !needsRoot(one))
  const scripts = runnable.map((one) => ({ name: one.name, steps: stepsOf(one) }))
  const folder = await mkdtemp(join(place, 'table-'))
  try {
    const input = scripts.flatMap(({ steps }, index) => [`case\tc${index}`, ...steps.map(({ fields }) => fields.join('\t'))])
    const answers = await drive(driver, folder, `${input.join('\n')}\n`)
    const wrong: string[] = []
    let at = 0
    for (const { name, steps } of scripts) {
      for (const { fields, expected } of steps) {
        const got = answers[at++] ?? 'nothing'
        if (got !== expected) wrong.push(`${name}: ${fields.join(' ').replaceAll(/(.)\1{60,}/g, '$1…')} => ${got}, not ${expected}`)
      }
    }
    return { cases: scripts.length, calls: at, skipped: table.length - scripts.length, wrong, milliseconds: performance.now() - begun }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function drive(driver: string, folder: string, input: string): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const child = spawn(driver, [folder], { cwd: '/', stdio: ['pipe', 'pipe', 'inherit'], timeout: 120_000 })
    let printed = ''
    child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()))
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (code === 0) resolve(printed.split('\n').slice(0, -1))
      else reject(new Error(`the driver ended with ${code ?? signal} after ${printed.split('\n').length - 1} calls`))
    })
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
  })
}
