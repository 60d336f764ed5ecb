import { InvalidArgumentError } from 'commander'
import { parseDuration, parseSize } from '../sizes.ts'

/** Collects a repeatable flag. */
export function collect(value: string, before: readonly string[]): string[] {
  return [...before, value]
}

export function sizeFlag(text: string): number {
  const bytes = parseSize(text)
  if (bytes === undefined) throw new InvalidArgumentError('expected a size such as 512M or 10G')
  return bytes
}

/** Seconds. */
export function durationFlag(text: string): number {
  const seconds = parseDuration(text)
  if (seconds === undefined) throw new InvalidArgumentError('expected a duration such as 30s, 10m or 2h')
  return seconds
}

export function wholeFlag(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError('expected a whole number')
  return Number(text)
}

/** Octal, as umask(1) prints it. */
export function umaskFlag(text: string): number {
  if (!/^0?[0-7]{1,3}$/.test(text)) throw new InvalidArgumentError('expected octal digits such as 022')
  return parseInt(text, 8)
}
