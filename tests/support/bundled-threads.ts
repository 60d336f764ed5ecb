import { build } from 'esbuild'
import { globSync } from 'node:fs'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Plugin } from 'vitest/config'

const root = fileURLToPath(new URL('../..', import.meta.url))
/** Below node_modules, where the bundle finds what stays outside it. */
const folder = join(root, 'node_modules/.cache/threads')
const threadFile = /'\.\/([a-z-]+-thread)\.ts'/g

/**
 * Threads of the service run as one file each, as `scripts/build` makes them. From its sources the thread of the store takes
 * 300 ms of processor time to start: Node parses package.json of drizzle-orm, which is large, for each of its hundred files.
 */
export function bundledThreads(): Plugin {
  let bundled: Promise<unknown> | undefined
  return {
    name: 'bundled-threads',
    enforce: 'pre',
    // At each start: what `transform` returned for a file that is as before is taken from Vitest's cache.
    buildStart: async () => {
      bundled ??= Promise.all(globSync('src-service/**/*-thread.ts', { cwd: root }).map(bundle))
      await bundled
    },
    transform(code, id) {
      if (!id.startsWith(join(root, 'src-service/'))) return undefined
      const changed = code.replace(threadFile, (_, name: string) => JSON.stringify(pathToFileURL(fileOf(name)).href))
      return changed === code ? undefined : { code: changed, map: null }
    },
  }
}

function fileOf(name: string): string {
  return join(folder, `${name}.js`)
}

async function bundle(source: string): Promise<void> {
  const { outputFiles } = await build({
    ...{ absWorkingDir: root, entryPoints: [source], bundle: true, platform: 'node', target: 'node22.14', format: 'esm' },
    ...{ external: ['better-sqlite3', '@napi-rs/keyring'], sourcemap: 'inline', write: false, logLevel: 'silent' },
  })
  const [output] = outputFiles
  if (output === undefined) throw new Error(`nothing was made of ${source}`)
  const file = fileOf(basename(source, '.ts'))
  await mkdir(folder, { recursive: true })
  // Another run may be about to start the file.
  await writeFile(`${file}.${process.pid}`, output.contents)
  await rename(`${file}.${process.pid}`, file)
}
