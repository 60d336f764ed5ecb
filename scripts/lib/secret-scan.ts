/**
 * Looks for secrets in the files that git tracks (or would add). Usage: secret-scan.ts [FOLDER]; exit code 1 when something is found.
 * Passwords for reserved hosts (`x.test`, `example.com`, `localhost`) are none. A line that must look like one (a documented example, a test of redaction) carries the words `not a secret`.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './run-command.ts'

const patterns: Readonly<Record<string, RegExp>> = {
  'private key': /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----/,
  'AWS access key': /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/,
  'AWS secret key': /aws.{0,20}secret.{0,20}['"][0-9a-zA-Z/+]{40}['"]/i,
  'GitHub token': /\bgh[pousr]_[0-9A-Za-z]{36}/,
  'Slack token': /\bxox[baprs]-[0-9A-Za-z-]{10,}/,
  'Google API key': /\bAIza[0-9A-Za-z_-]{35}\b/,
  'Dropbox token': /\bsl\.[0-9A-Za-z_-]{60,}/,
  'npm token': /\bnpm_[0-9A-Za-z]{36}\b/,
  'JSON web token': /\beyJ[0-9A-Za-z_-]{20,}\.eyJ[0-9A-Za-z_-]{20,}\.[0-9A-Za-z_-]{20,}/,
  'password in a URL':
    /\b[a-z][a-z0-9+.-]*:\/\/[^\s/:@'"`$<{]{1,64}:[^\s/:@'"`$<{]{8,}@(?!(?:[\w-]+\.)*(?:test|example(?:\.(?:com|org|net))?|localhost)\b)[a-z0-9]/i,
}

/** AWS's own documented examples. */
const allowed = /not a secret|AKIAIOSFODNN7EXAMPLE|wJalrXUtnFEMI/

const folder = process.argv[2] ?? root
const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: folder, maxBuffer: 1 << 26 })
let found = 0
for (const file of new Set(listed.toString().split('\0'))) {
  if (file === '' || file === 'package-lock.json') continue
  let text: string
  try {
    text = readFileSync(join(folder, file), 'utf8')
  } catch {
    continue // deleted, or a link
  }
  if (text.includes('\0')) continue
  for (const [index, line] of text.split('\n').entries()) {
    if (allowed.test(line)) continue
    for (const [what, pattern] of Object.entries(patterns)) {
      if (!pattern.test(line)) continue
      found++
      process.stdout.write(`${file}:${index + 1}: looks like a ${what}\n`)
    }
  }
}
process.exitCode = found === 0 ? 0 : 1
