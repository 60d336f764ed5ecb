/** Regenerates proto/gen in a temporary folder and compares; exit code 1 on any difference, which it prints. */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { root } from './run-command.ts'

function contentsOf(folder: string): Map<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  const paths = files.map((entry) => join(entry.parentPath, entry.name))
  return new Map(paths.map((path) => [relative(folder, path), readFileSync(path, 'utf8')]))
}

const copy = mkdtempSync(join(tmpdir(), 'cloudmoor-generated-'))
try {
  cpSync(join(root, 'proto'), copy, { recursive: true })
  rmSync(join(copy, 'gen'), { recursive: true, force: true })
  const path = `${join(root, 'node_modules/.bin')}${process.platform === 'win32' ? ';' : ':'}${process.env['PATH'] ?? ''}`
  const generated = spawnSync('buf', ['generate'], { cwd: copy, encoding: 'utf8', env: { ...process.env, PATH: path } })
  if (generated.status !== 0) throw new Error(generated.stderr)
  const described = spawnSync(process.execPath, [
    ...process.execArgv,
    join(root, 'proto/openapi/write-openapi.ts'),
    join(copy, 'gen/openapi.json'),
  ])
  if (described.status !== 0) throw new Error(described.stderr.toString())
  const committed = contentsOf(join(root, 'proto/gen'))
  const fresh = contentsOf(join(copy, 'gen'))
  const different = [...new Set([...committed.keys(), ...fresh.keys()])].filter((file) => committed.get(file) !== fresh.get(file))
  for (const file of different.sort()) process.stdout.write(`proto/gen/${file} is not what the .proto files give: run proto/generate\n`)
  process.exitCode = different.length === 0 && fresh.size > 0 ? 0 : 1
} finally {
  rmSync(copy, { recursive: true, force: true })
}
