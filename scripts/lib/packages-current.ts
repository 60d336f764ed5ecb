/** Exit code 0 if node_modules holds what package-lock.json asks for (packages for other systems aside), 1 if `npm ci` is due. */
import { readFileSync } from 'node:fs'

interface Lock {
  readonly packages: Readonly<Record<string, { readonly version?: string; readonly optional?: boolean; readonly devOptional?: boolean }>>
}

function packagesOf(file: string): Lock['packages'] | undefined {
  try {
    return (JSON.parse(readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')) as Lock).packages
  } catch {
    return undefined
  }
}

const wanted = packagesOf('package-lock.json') ?? {}
const installed = packagesOf('node_modules/.package-lock.json')
const current =
  installed !== undefined &&
  Object.entries(wanted).every(([place, entry]) => {
    if (place === '') return true
    const found = installed[place]
    return found === undefined ? entry.optional === true : found.version === entry.version
  })
process.exitCode = current ? 0 : 1
