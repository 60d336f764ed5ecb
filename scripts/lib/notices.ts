import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

interface Package {
  readonly name: string
  readonly version: string
  readonly license?: string
  readonly dependencies?: Readonly<Record<string, string>>
  /** Binaries for each system; those of this one are installed. */
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/** Folder of the package that a bundled file belongs to, relative to the root; undefined for our own files. */
function packageFolder(input: string): string | undefined {
  return /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0]
}

function readPackage(folder: string): Package {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Package
}

/** The package and all it depends on at run time, as folders relative to the root. */
function withDependencies(root: string, name: string, seen: Set<string>): Set<string> {
  const folder = join('node_modules', name)
  if (seen.has(folder) || !existsSync(join(root, folder, 'package.json'))) return seen
  seen.add(folder)
  const { dependencies, optionalDependencies } = readPackage(join(root, folder))
  for (const dependency of Object.keys({ ...dependencies, ...optionalDependencies })) withDependencies(root, dependency, seen)
  return seen
}

/** The licence text that a package carries; throws where there is none, because then we may not ship it. */
function licenceOf(root: string, folder: string): string {
  const files = readdirSync(join(root, folder)).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file))
  const { name, version, license } = readPackage(join(root, folder))
  if (files.length === 0 && license === undefined) throw new Error(`${folder} states no licence`)
  const texts = files.map((file) => readFileSync(join(root, folder, file), 'utf8').trim())
  return [`${name} ${version}`, `Licence: ${license ?? 'see below'}`, '', ...texts].join('\n')
}

/**
 * Notices of every package in the bundles and of those shipped beside them.
 * @param inputs files that went into the bundles, relative to `root`
 * @param beside names of packages that are shipped as they are
 */
export function notices(root: string, inputs: readonly string[], beside: readonly string[]): string {
  const folders = new Set(inputs.map(packageFolder).filter((folder) => folder !== undefined))
  for (const name of beside) withDependencies(root, name, folders)
  const parts = [...folders].sort().map((folder) => licenceOf(root, folder))
  const intro = 'CloudMoor contains the packages below. Each stays under its own licence.'
  return [intro, ...parts].join(`\n\n${'-'.repeat(80)}\n\n`) + '\n'
}
