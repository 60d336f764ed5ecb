/** The checks that read the sources without running the product. `scripts/lib/lint.ts` and `scripts/test` run the same list. */
import { existsSync, globSync } from 'node:fs'
import { join } from 'node:path'
import { root, runCommand } from './run-command.ts'

export type Outcome =
  | { readonly state: 'passed' }
  | { readonly state: 'failed'; readonly output: string }
  | { readonly state: 'skipped'; readonly reason: string }

export interface Check {
  readonly name: string
  readonly run: () => Promise<Outcome>
}

const minute = 60_000

async function command(program: string, args: readonly string[], deadlineMs = 2 * minute): Promise<Outcome> {
  const result = await runCommand(program, args, { deadlineMs })
  if (result.timedOut) return { state: 'failed', output: `${result.output}\nnot done after ${deadlineMs / 1000} s` }
  return result.code === 0 ? { state: 'passed' } : { state: 'failed', output: result.output }
}

const binary = (name: string): string => join(root, 'node_modules/.bin', name)

const stripTypes = ['--experimental-strip-types', '--disable-warning=ExperimentalWarning']

const ourScript = (name: string): Promise<Outcome> => command(process.execPath, [...stripTypes, join(root, 'scripts/lib', name)])

async function shellSyntax(): Promise<Outcome> {
  if (process.platform === 'win32') return { state: 'skipped', reason: 'no bash to check shell scripts with' }
  const scripts = globSync(['scripts/*', 'scripts/hooks/*', 'bin/*', '.ci/run'], { cwd: root, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.md'))
    .map((entry) => join(entry.parentPath, entry.name))
  for (const script of scripts) {
    const outcome = await command('bash', ['-n', script])
    if (outcome.state !== 'passed') return outcome
  }
  return { state: 'passed' }
}

/** The contract: linted, formatted, nothing of the last release broken, every method with its policy, the committed code made from it, and its description in order. */
async function contract(): Promise<Outcome> {
  const steps = [
    () => command(binary('buf'), ['lint', 'proto']),
    () => command(binary('buf'), ['format', '--diff', '--exit-code', 'proto']),
    () => command(binary('buf'), ['breaking', 'proto', '--against', 'proto/released.binpb']),
    () => command(process.execPath, [...stripTypes, join(root, 'proto/check-policies.ts')]),
    () => ourScript('generated-code.ts'),
    () => command(binary('redocly'), ['lint', '--config', 'proto/redocly.yaml', 'proto/gen/openapi.json']),
  ]
  for (const step of steps) {
    const outcome = await step()
    if (outcome.state !== 'passed') return outcome
  }
  return { state: 'passed' }
}

/** Known advisories; where the registry does not answer such requests nothing is known, and that is said. */
async function advisories(): Promise<Outcome> {
  const result = await runCommand('npm', ['audit', '--json', '--audit-level=high', '--loglevel=silent'], { deadlineMs: minute })
  if (result.code === 0) return { state: 'passed' }
  if (/"auditReportVersion"/.test(result.output)) return { state: 'failed', output: result.output }
  return { state: 'skipped', reason: 'the npm registry in use does not answer audit requests' }
}

/** The slowest first: `runChecks` begins them in this order. */
export const checks: readonly Check[] = [
  { name: 'eslint', run: () => command(binary('eslint'), ['.', '--cache', '--cache-location', 'node_modules/.cache/eslint/'], 5 * minute) },
  { name: 'types', run: () => command(binary('tsc'), ['-p', '.']) },
  { name: 'contract', run: contract },
  { name: 'imports', run: () => command(binary('depcruise'), ['--config', '.dependency-cruiser.cjs', ...programs()]) },
  { name: 'unused', run: () => command(binary('knip'), []) },
  { name: 'format', run: () => command(binary('biome'), ['format', '.']) },
  { name: 'shell', run: shellSyntax },
  { name: 'secrets', run: () => ourScript('secret-scan.ts') },
  { name: 'advisories', run: advisories },
]

/** Runs checks two at a time, which is what a small machine has processors for; the outcomes come in the order of `chosen`. */
export async function runChecks(chosen: readonly Check[]): Promise<readonly { readonly name: string; readonly outcome: Outcome }[]> {
  const begun: Promise<{ readonly name: string; readonly outcome: Outcome }>[] = []
  const rest = chosen.values()
  const lane = async (): Promise<void> => {
    for (const { name, run } of rest) {
      const done = run().then((outcome) => ({ name, outcome }))
      begun.push(done)
      await done
    }
  }
  await Promise.all([lane(), lane()])
  return Promise.all(begun)
}

function programs(): string[] {
  return ['src-service', 'src-cli', 'src-main', 'src-renderer', 'proto'].filter((folder) => existsSync(join(root, folder)))
}
