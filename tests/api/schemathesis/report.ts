/** What schemathesis found, out of its two reports. */
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export interface Report {
  readonly cases: number
  readonly failures: readonly string[]
  readonly errors: readonly string[]
  /** Statuses of the answers by operation, `GET /api/v1/mounts`. */
  readonly statuses: ReadonlyMap<string, ReadonlySet<number>>
}

interface Summary {
  readonly test_cases: { readonly generated: number }
  readonly failures: readonly {
    readonly code: string
    readonly title: string
    readonly count: number
    readonly operations: readonly string[]
  }[]
  readonly errors: readonly { readonly title: string; readonly count: number }[]
}

interface Scenario {
  readonly recorder: {
    readonly cases?: Readonly<Record<string, { readonly value: { readonly method: string; readonly path: string } }>>
    readonly interactions?: Readonly<Record<string, { readonly response?: { readonly status_code: number } }>>
  }
}

export async function readReport(folder: string): Promise<Report> {
  const summary = JSON.parse(await readFile(join(folder, 'report.json'), 'utf8')) as Summary
  const statuses = new Map<string, Set<number>>()
  for await (const line of createInterface(createReadStream(join(folder, 'report.ndjson')))) {
    if (!line.startsWith('{"ScenarioFinished"')) continue
    const { ScenarioFinished: scenario } = JSON.parse(line) as { readonly ScenarioFinished: Scenario }
    for (const [id, { response }] of Object.entries(scenario.recorder.interactions ?? {})) {
      const asked = scenario.recorder.cases?.[id]?.value
      if (asked === undefined || response === undefined) continue
      const operation = `${asked.method} ${asked.path}`
      statuses.set(operation, (statuses.get(operation) ?? new Set<number>()).add(response.status_code))
    }
  }
  return {
    cases: summary.test_cases.generated,
    failures: summary.failures.map(({ code, title, count, operations }) => `${code} ${title} (${count}): ${operations.join(', ')}`),
    errors: summary.errors.map(({ title, count }) => `${title} (${count})`),
    statuses,
  }
}
