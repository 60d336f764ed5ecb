import { build } from 'esbuild'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
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
  return {
    name: 'bundled-threads',
    enforce: 'pre',
    async transform(code, id) {
      if (!id.startsWith(join(root, 'src-service/'))) return undefined
      let changed = code
      for (const [literal, name] of code.matchAll(threadFile)) {
        if (name === undefined) continue
        const { url, inputs } = await bundled(join(dirname(id), `${name}.ts`))
        for (const input of inputs) this.addWatchFile(input)
        changed = changed.replace(literal, JSON.stringify(url))
      }
      return changed === code ? undefined : { code: changed, map: null }
    },
  }
}

async function bundled(source: string): Promise<{ readonly url: string; readonly inputs: readonly string[] }> {
  const { outputFiles, metafile } = await build({
    ...{ absWorkingDir: root, entryPoints: [source], bundle: true, platform: 'node', target: 'node22.14', format: 'esm' },
    ...{ external: ['better-sqlite3'], sourcemap: 'inline', write: false, metafile: true, logLevel: 'silent' },
  })
  const [output] = outputFiles
  if (output === undefined) throw new Error(`nothing was made of ${source}`)
  const file = join(folder, `${basename(source, '.ts')}.js`)
  await mkdir(folder, { recursive: true })
  // Another run may be about to start the file.
  await writeFile(`${file}.${process.pid}`, output.contents)
  await rename(`${file}.${process.pid}`, file)
  return { url: pathToFileURL(file).href, inputs: Object.keys(metafile.inputs).map((input) => join(root, input)) }
}
