import type { QueueCounts } from '../../common/drive-state.ts'
import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import type { Duration, Timestamp } from '@bufbuild/protobuf/wkt'
import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf'
import { ManagedBy } from '../../../proto/gen/cloudmoor/v1/resources_pb.js'
import type { QueueSchema } from '../../../proto/gen/cloudmoor/v1/resources_pb.js'
import { CloudError } from '../../common/errors.ts'
import type { ManagedBy as RecordManagedBy, Options, OptionValue } from '../store/records.ts'

/** Options as the wire has them: scalars only. Throws `invalid`. */
export function readOptions(options: JsonObject | undefined): Options {
  const read: Record<string, OptionValue> = {}
  for (const [name, value] of Object.entries(options ?? {})) {
    if (value === null || typeof value === 'object') {
      throw new CloudError('invalid', `option '${name}' must be a text, a number or a boolean`)
    }
    read[name] = value
  }
  return read
}

/**
 * Which options an update mask changes: value, or null = back to its default. `options` replaces all of them,
 * `options.NAME` one. JSON writes masks in camelCase and readers make snake_case of it (protobuf's JSON mapping), so that
 * `options.part_size` is `partSize`, too.
 */
export function readOptionChange(
  paths: readonly string[],
  given: JsonObject | undefined,
  stored: Options,
): Record<string, OptionValue | null> {
  const options = readOptions(given)
  const change: Record<string, OptionValue | null> = {}
  for (const path of paths) {
    if (path === 'options') {
      for (const name of Object.keys(stored)) change[name] = null
      Object.assign(change, options)
    } else if (path.startsWith('options.')) {
      const spelt = path.slice('options.'.length)
      const isName = Object.hasOwn(options, spelt) || Object.hasOwn(stored, spelt)
      const name = isName ? spelt : spelt.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
      change[name] = (Object.hasOwn(options, name) ? options[name] : null) ?? null
    }
  }
  return change
}

/** Throws `invalid` for a path that is neither one of `allowed` nor an option. */
export function checkMask(paths: readonly string[], allowed: readonly string[]): void {
  for (const path of paths) {
    if (allowed.includes(path) || path === 'options' || /^options\.[^.]+$/.test(path)) continue
    throw new CloudError('invalid', `update_mask: '${path}' cannot be changed`, {
      hint: `One of ${allowed.join(', ')}, options, options.NAME.`,
    })
  }
}

/**
 * The paths of a mask but those of fields that never change and are given as they are: who sends back what was read is not refused.
 * @param fixed whether such a field is given as it is, by path
 */
export function withoutFixed(paths: readonly string[], fixed: Readonly<Record<string, boolean>>): readonly string[] {
  return paths.filter((path) => !Object.hasOwn(fixed, path) || fixed[path] === false)
}

export function writeEtag(revision: number): string {
  return String(revision)
}

/** Null = whatever it is now. Throws `conflict` for what is no etag of ours: it cannot match. */
export function readEtag(etag: string): number | null {
  if (etag === '') return null
  const revision = /^[1-9]\d{0,14}$/.test(etag) ? Number(etag) : null
  if (revision === null) throw new CloudError('conflict', 'the etag does not match', { hint: 'Read it again and repeat the change.' })
  return revision
}

export function writeManagedBy(managedBy: RecordManagedBy): ManagedBy {
  switch (managedBy) {
    case 'api':
      return ManagedBy.API
    case 'file':
      return ManagedBy.FILE
  }
}

/** Parts of a millisecond are left out: as nanoseconds they would not be whole ones. */
export function writeTime(milliseconds: number): Timestamp {
  return timestampFromMs(Math.trunc(milliseconds))
}

/** Milliseconds; negative ones count as 0. */
export function readDuration(duration: Duration): number {
  return Math.max(0, Number(duration.seconds) * 1000 + Math.round(duration.nanos / 1_000_000))
}

/** A safe whole number out of a 64-bit field. Throws `invalid`. */
export function readInteger(field: string, value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new CloudError('invalid', `${field} is too large`)
  return Number(value)
}

export function writeQueue(queue: QueueCounts): MessageInitShape<typeof QueueSchema> {
  return {
    files: BigInt(queue.files),
    bytes: BigInt(queue.bytes),
    parked: BigInt(queue.parked),
    uploading: BigInt(queue.uploading),
  }
}

/** How many entries an answer has: `asked`, or the default for 0. Throws `invalid` out of range. */
export function readLimit(field: string, asked: number, byDefault: number, most: number): number {
  if (asked < 0 || asked > most) throw new CloudError('invalid', `${field} must be between 0 and ${most}`)
  return asked === 0 ? byDefault : asked
}
