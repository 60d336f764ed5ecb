/** `npm run lint [-- NAME…]`: runs the checks (all, or those named), prints one line each, and what failed. */
import { checks } from './checks.ts'

const names = process.argv.slice(2)
const unknown = names.filter((name) => !checks.some((check) => check.name === name))
if (unknown.length > 0) {
  process.stderr.write(`no such check: ${unknown.join(', ')}; there are: ${checks.map((check) => check.name).join(', ')}\n`)
  process.exit(2)
}
for (const check of checks) {
  if (names.length > 0 && !names.includes(check.name)) continue
  const outcome = await check.run()
  switch (outcome.state) {
    case 'passed':
      process.stdout.write(`ok       ${check.name}\n`)
      break
    case 'skipped':
      process.stdout.write(`skipped  ${check.name}: ${outcome.reason}\n`)
      break
    case 'failed':
      process.stdout.write(`FAILED   ${check.name}\n${outcome.output}\n`)
      process.exitCode = 1
  }
}
