/** `npm run lint [-- NAME…]`: runs the checks (all, or those named), prints one line each, and what failed. */
import { checks, runChecks } from './checks.ts'

const names = process.argv.slice(2)
const unknown = names.filter((name) => !checks.some((check) => check.name === name))
if (unknown.length > 0) {
  process.stderr.write(`no such check: ${unknown.join(', ')}; there are: ${checks.map((check) => check.name).join(', ')}\n`)
  process.exit(2)
}
for (const { name, outcome } of await runChecks(checks.filter((check) => names.length === 0 || names.includes(check.name)))) {
  switch (outcome.state) {
    case 'passed':
      process.stdout.write(`ok       ${name}\n`)
      break
    case 'skipped':
      process.stdout.write(`skipped  ${name}: ${outcome.reason}\n`)
      break
    case 'failed':
      process.stdout.write(`FAILED   ${name}\n${outcome.output}\n`)
      process.exitCode = 1
  }
}
