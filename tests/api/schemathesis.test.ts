/** schemathesis asks a throw-away service whatever /openapi.json allows, and what it does not. See docs/testing/integration.md. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import openApi from '../../proto/gen/openapi.json' with { type: 'json' }
import { findSchemathesis } from '../servers/schemathesis.ts'
import { run } from '../support/installation.ts'
import { inOwnWorld, whyNoOwnWorld } from '../support/own-world.ts'
import { isProof, seed } from '../support/random.ts'
import { asThingsAre, leftOut, outOfReach, refuseMore } from './schemathesis/plan.ts'
import { readReport } from './schemathesis/report.ts'
import type { Report } from './schemathesis/report.ts'

const seconds = isProof ? 240 : 30

/** Names of operations by `GET /api/v1/mounts`. */
const operations = new Map(
  Object.entries(openApi.paths).flatMap(([path, verbs]) =>
    Object.entries(verbs).map(([verb, operation]: [string, { readonly operationId: string }]) => [
      `${verb.toUpperCase()} ${path}`,
      operation.operationId,
    ]),
  ),
)
const streams = Object.entries(leftOut).filter(([, why]) => why.startsWith('a stream'))

it(`finds nothing in ${seconds} s`, { timeout: (seconds + 180) * 1000 }, async ({ skip }) => {
  const found = await findSchemathesis()
  if ('missing' in found) return skip(found.missing)
  const folder = await mkdtemp(join(tmpdir(), 'cm-st-'))
  try {
    const reason = await whyNoOwnWorld(folder)
    if (reason !== null) return skip(reason)
    const flags = ['--experimental-strip-types', '--disable-warning=ExperimentalWarning']
    const program = [...flags, join(import.meta.dirname, 'schemathesis/inside.ts'), folder, found.path, String(seconds), String(seed)]
    const [command = '', ...spaces] = inOwnWorld(folder)
    const { code, stderr } = await run(command, [...spaces, process.execPath, ...program], { timeoutMs: (seconds + 150) * 1000 })
    const output = await readFile(join(folder, 'output.txt'), 'utf8').catch(() => '')
    expect([code, stderr], output.slice(-20_000)).toEqual([0, ''])
    const report = await readReport(folder)
    const unreached = tell(report)
    expect([...report.failures, ...report.errors]).toEqual([])
    expect(report.cases).toBeGreaterThan(isProof ? 2000 : 100)
    expect([...report.statuses.values()].some((codes) => [...codes].some((status) => status >= 500))).toBe(false)
    // A quick run has no time for everything: it tells what it did not reach. What is said to be out of reach is, and the reverse.
    if (!isProof) return
    const known = [...Object.keys(leftOut), ...Object.keys(outOfReach)]
    expect(unreached.toSorted()).toEqual(known.toSorted())
    expect(unreached.length - streams.length).toBeLessThanOrEqual((operations.size - streams.length) / 10)
  } finally {
    await rm(folder, { recursive: true })
  }
})

it('says why of nothing that does not exist', () => {
  const names = new Set(operations.values())
  for (const name of [leftOut, outOfReach, refuseMore].flatMap(Object.keys)) expect(names).toContain(name)
})

function reasons(of: Readonly<Record<string, string>>): string {
  return Object.entries(of)
    .map(([what, why]) => `  ${what}: ${why}`)
    .join('\n')
}

/** Prints the report. Gives the names of the operations that never did what they were asked for. */
function tell({ cases, failures, statuses }: Report): string[] {
  const isReached = (operation: string) => [...(statuses.get(operation) ?? [])].some((status) => status >= 200 && status < 300)
  const unreached = [...operations].filter(([operation]) => !isReached(operation))
  const lines = unreached.map(([operation, name]) => {
    const why = leftOut[name] ?? outOfReach[name] ?? 'not in this time'
    return `  ${operation} (${[...(statuses.get(operation) ?? [])].sort().join(' ') || 'not asked'}): ${why}`
  })
  process.stdout.write(
    [
      `schemathesis, seed ${seed}, ${seconds} s: ${cases} cases, ${failures.length} failures; ${operations.size - unreached.length} of `,
      `${operations.size} operations did what they were asked for, these never:\n${lines.join('\n')}\n`,
      `${Object.keys(refuseMore).length} operations may refuse what the schema allows:\n${reasons(refuseMore)}\n`,
      `statuses that say how things are, not that the request is wrong:\n${reasons(asThingsAre)}\n`,
    ].join(''),
  )
  return unreached.map(([, name]) => name)
}
