import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * Arguments for Node to run a program of ours: `source` (relative to the caller, without `.ts`) in the source tree, where
 * Node takes the types away (a flag before 22.18), or the file of that name beside the caller's bundle. Bundles run without
 * source maps: they keep their names, and reading a map takes a worker 6 MB and half of its start.
 */
export function scriptArguments(source: string, caller: string): readonly string[] {
  if (!caller.endsWith('.ts')) return [fileURLToPath(new URL(`./${basename(source)}.js`, caller))]
  return ['--experimental-strip-types', '--disable-warning=ExperimentalWarning', fileURLToPath(new URL(`${source}.ts`, caller))]
}
