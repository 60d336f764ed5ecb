export type TestResult =
  | { readonly state: 'passed'; readonly name: string }
  | { readonly state: 'failed'; readonly name: string; readonly output: string }
  | { readonly state: 'skipped'; readonly name: string; readonly reason: string }

export interface SuiteResult {
  readonly suite: string
  readonly results: readonly TestResult[]
  readonly milliseconds: number
}

const count = (results: readonly TestResult[], state: TestResult['state']): number =>
  results.filter((result) => result.state === state).length

/** `name: 12 passed, 1 failed, 3 skipped (4.2 s)` */
export function suiteLine({ suite, results, milliseconds }: SuiteResult): string {
  return `${suite}: ${counts(results)} (${(milliseconds / 1000).toFixed(1)} s)`
}

/** `12 passed, 1 failed, 3 skipped`: the last line of a whole run. */
export function counts(results: readonly TestResult[]): string {
  return `${count(results, 'passed')} passed, ${count(results, 'failed')} failed, ${count(results, 'skipped')} skipped`
}

/** Every skip under its reason, every failure with its output. */
export function details(results: readonly TestResult[]): string[] {
  const lines: string[] = []
  const byReason = new Map<string, string[]>()
  for (const result of results) {
    if (result.state === 'failed') lines.push(`FAILED ${result.name}`, ...indent(result.output))
    if (result.state === 'skipped') byReason.set(result.reason, [...(byReason.get(result.reason) ?? []), result.name])
  }
  for (const [reason, names] of byReason) lines.push(`skipped, ${reason}:`, ...names.map((name) => `  ${name}`))
  return lines
}

function indent(text: string): string[] {
  return text
    .trimEnd()
    .split('\n')
    .slice(-60)
    .map((line) => `  ${line}`)
}
