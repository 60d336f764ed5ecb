import { CloudError } from '../../common/errors.ts'
import { nearestName } from '../../common/nearest-name.ts'
import type { Options } from '../store/records.ts'

/** The rarely needed options of a mount, `--option NAME=VALUE`. */
export interface MountOptions {
  readonly fsync: 'local' | 'remote'
  readonly attributes: 'listing' | 'exact'
  readonly freshness: 'relaxed' | 'strict'
  readonly xattrs: boolean
  /** Who shows it to the kernel: `fuse` ourselves, `rclone` a program beside us; `auto`: ourselves where that is possible. */
  readonly driver: 'auto' | 'fuse' | 'rclone'
  /** Seconds of quiet before a closed file is uploaded. */
  readonly writeBackSeconds: number
}

const maxWriteBackSeconds = 3600

const parsers: { readonly [K in keyof MountOptions]: (value: Options[string] | undefined) => MountOptions[K] } = {
  fsync: oneOf('fsync', ['local', 'remote']),
  attributes: oneOf('attributes', ['listing', 'exact']),
  freshness: oneOf('freshness', ['relaxed', 'strict']),
  xattrs: (value) => readSwitch('xattrs', value ?? false),
  driver: oneOf('driver', ['auto', 'fuse', 'rclone']),
  writeBackSeconds: (value) => readSeconds('writeBackSeconds', value ?? 5),
}

/** Fills in defaults. Throws `invalid`: UNKNOWN_OPTION with the nearest name, or what a value may be. */
export function readMountOptions(given: Options): MountOptions {
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(parsers, name)) continue
    const near = nearestName(name, Object.keys(parsers))
    throw new CloudError('invalid', `mounts have no option '${name}'`, {
      code: 'UNKNOWN_OPTION',
      hint: near === undefined ? `Options: ${Object.keys(parsers).join(', ')}.` : `Did you mean '${near}'?`,
    })
  }
  return {
    fsync: parsers.fsync(given['fsync']),
    attributes: parsers.attributes(given['attributes']),
    freshness: parsers.freshness(given['freshness']),
    xattrs: parsers.xattrs(given['xattrs']),
    driver: parsers.driver(given['driver']),
    writeBackSeconds: parsers.writeBackSeconds(given['writeBackSeconds']),
  }
}

function oneOf<T extends string>(name: string, values: readonly [T, ...T[]]): (value: Options[string] | undefined) => T {
  return (value) => {
    const found = value === undefined ? values[0] : values.find((known) => known === value)
    if (found === undefined) throw new CloudError('invalid', `option '${name}' is one of ${values.join(', ')}`)
    return found
  }
}

function readSwitch(name: string, value: Options[string]): boolean {
  if (value === true || value === 'on' || value === 'true') return true
  if (value === false || value === 'off' || value === 'false') return false
  throw new CloudError('invalid', `option '${name}' is on or off`)
}

function readSeconds(name: string, value: Options[string]): number {
  const seconds = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
  if (typeof seconds !== 'number' || !Number.isInteger(seconds) || seconds < 0 || seconds > maxWriteBackSeconds) {
    throw new CloudError('invalid', `option '${name}' is a number of seconds between 0 and ${maxWriteBackSeconds}`)
  }
  return seconds
}
