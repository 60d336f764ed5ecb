/**
 * Builds dist/: one ESM bundle per program with its source map, and the notices of every package in them.
 * Usage: scripts/build [--force]. Does nothing when the inputs are those of the last build.
 */
import { createHash } from 'node:crypto'
import { isBuiltin } from 'node:module'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { Plugin } from 'esbuild'
import { notices } from './notices.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const dist = join(root, 'dist')

/** Loaded at run time from node_modules: each finds its binary beside itself. */
const external = ['better-sqlite3', '@napi-rs/keyring', '@node-rs/argon2']

/** The programs, and the threads they start by file name (`x-thread.ts` beside its user becomes `dist/x-thread.js`). */
function entryPoints(): Record<string, string> {
  const threads = filesBelow('src-service').filter((file) => file.endsWith('-thread.ts'))
  return {
    service: 'src-service/main.ts',
    worker: 'src-service/worker.ts',
    cli: 'src-cli/main.ts',
    ...Object.fromEntries(threads.map((file) => [basename(file, '.ts'), file])),
  }
}

/** CommonJS packages inside an ES module still call `require`. */
const banner = `import { createRequire as cloudmoorCreateRequire } from 'node:module'; const require = cloudmoorCreateRequire(import.meta.url);`

/**
 * Node's own modules are asked for by a call. An ES import of one reads all of its exports at once, and reading
 * those of node:http (`WebSocket` and others) loads a whole HTTP client that nobody uses.
 */
const builtins: Plugin = {
  name: 'builtins',
  setup(bundler) {
    bundler.onResolve({ filter: /^[a-z]/ }, ({ path }) =>
      isBuiltin(path) ? { path: path.replace(/^node:/, ''), namespace: 'builtin' } : undefined,
    )
    bundler.onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => ({
      contents: `module.exports = ${late.has(path) ? loadedAtFirstUse(path) : loaded(path)}`,
      loader: 'js',
    }))
  },
}

/** To load TLS takes 25 ms, a quarter of what a command takes; over the service's unix socket nobody needs it. */
const late = new Set(['https', 'http2', 'tls'])

function loaded(path: string): string {
  return `process.getBuiltinModule('node:${path}')`
}

function loadedAtFirstUse(path: string): string {
  const names = Object.keys(process.getBuiltinModule(`node:${path}`) ?? {})
  return `{ ${names.map((name) => `get ${name}() { return ${loaded(path)}.${name} }`).join(', ')} }`
}

function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|js)$/.test(entry.name) && !entry.name.endsWith('.test.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

function stampOfInputs(): string {
  const hash = createHash('sha256')
  const own = ['scripts/lib/build.ts', 'scripts/lib/notices.ts', 'package-lock.json'].map((file) => join(root, file))
  const files = [...['src-service', 'src-cli', 'proto'].flatMap(filesBelow), ...own]
  for (const file of files) hash.update(file).update('\0').update(readFileSync(file)).update('\0')
  return hash.digest('hex')
}

function stampOfLastBuild(): string | undefined {
  try {
    return readFileSync(join(dist, '.inputs'), 'utf8')
  } catch {
    return undefined
  }
}

async function main(): Promise<void> {
  const stamp = stampOfInputs()
  if (!process.argv.includes('--force') && stampOfLastBuild() === stamp) return
  mkdirSync(dist, { recursive: true })
  const result = await build({
    absWorkingDir: root,
    entryPoints: entryPoints(),
    outdir: dist,
    bundle: true,
    platform: 'node',
    target: 'node22.14',
    format: 'esm',
    sourcemap: 'linked',
    sourcesContent: false,
    legalComments: 'none',
    banner: { js: banner },
    external,
    plugins: [builtins],
    metafile: true,
    logLevel: 'warning',
  })
  writeFileSync(join(dist, 'THIRD-PARTY-NOTICES.txt'), notices(root, Object.keys(result.metafile.inputs), external))
  writeFileSync(join(dist, '.inputs'), stamp)
  for (const [file, output] of Object.entries(result.metafile.outputs)) {
    if (file.endsWith('.js')) process.stderr.write(`${file}  ${Math.round(output.bytes / 1024)} KiB\n`)
  }
}

main().catch((error: unknown) => {
  // What the bundler has to say, it has said.
  if (!(error instanceof Error && 'errors' in error))
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  process.exit(1)
})
