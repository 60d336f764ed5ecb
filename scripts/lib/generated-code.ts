/** Regenerates the code under proto/gen into a temporary folder and compares. Usage: generated-code.ts BUF_GEN_YAML; exit code 1 on any difference. */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { root } from './run-command.ts'

const config = process.argv[2]
if (config === undefined) throw new Error('which buf.gen.yaml?')

const copy = mkdtempSync(join(tmpdir(), 'cloudmoor-generated-'))
try {
  cpSync(join(root, 'proto'), join(copy, 'proto'), { recursive: true })
  for (const file of ['buf.yaml', 'buf.gen.yaml', 'package.json']) {
    cpSync(join(root, file), join(copy, file), { force: true, recursive: true })
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  rmSync(join(copy, 'proto/gen'), { recursive: true, force: true })
  const where = join(copy, dirname(relative(root, join(root, config))))
  const generated = spawnSync(join(root, 'node_modules/.bin/buf'), ['generate'], { cwd: where, encoding: 'utf8' })
  if (generated.status !== 0) {
    process.stdout.write(generated.stderr)
    process.exitCode = 1
  } else {
    const difference = spawnSync('diff', ['-r', join(root, 'proto/gen'), join(copy, 'proto/gen')], { encoding: 'utf8' })
    process.stdout.write(difference.stdout)
    process.exitCode = difference.status ?? 1
  }
} finally {
  rmSync(copy, { recursive: true, force: true })
}
