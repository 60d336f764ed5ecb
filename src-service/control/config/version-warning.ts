import { version as programVersion } from '../../common/version.ts'

/** What to know of a text that another version of the program exported; null = nothing. */
export function versionWarning(writtenBy: string | undefined): string | null {
  const order = writtenBy === undefined ? 0 : compareVersions(writtenBy, programVersion)
  if (order === 0) return null
  const which = `CloudMoor ${writtenBy} wrote it, and this is ${programVersion}`
  return order > 0
    ? `${which}, which is older: what only the newer one can do is not done here`
    : `${which}, which is newer: what is not in the text gets the values of this version`
}

/** By major, minor and patch number. Positive = `a` is the newer one. */
function compareVersions(a: string, b: string): number {
  const [left, right] = [numbersOf(a), numbersOf(b)]
  return left.map((number, index) => number - (right[index] ?? 0)).find((difference) => difference !== 0) ?? 0
}

function numbersOf(version: string): number[] {
  return (version.split('-')[0] ?? '').split('.').map(Number)
}
