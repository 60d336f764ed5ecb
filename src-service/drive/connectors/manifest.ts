/** Every provider type as data, in the order in which people see them. Imports no code that speaks to a cloud. */
import { CloudError } from '../../common/errors.ts'
import type { Descriptor } from './connector.ts'
import { localDescriptor } from './local/descriptor.ts'
import { s3Descriptor } from './s3/descriptor.ts'
import { webdavDescriptor } from './webdav/descriptor.ts'

export const descriptors: readonly Descriptor[] = [localDescriptor, s3Descriptor, webdavDescriptor].map(withRate)

/** Every account may be used more slowly than its type is by default, by all its mounts together. */
function withRate(descriptor: Descriptor): Descriptor {
  const requestsPerSecond = {
    type: 'integer',
    title: 'Requests a second',
    description: 'Most requests a second, of all mounts of the account together.',
    default: descriptor.defaults.requestsPerSecond,
    minimum: 1,
    maximum: 100_000,
    advanced: true,
  } as const
  const { options } = descriptor
  return { ...descriptor, options: { ...options, properties: { ...options.properties, requestsPerSecond } } }
}

/** Requests a second that an account bears. Throws `invalid` for an unknown type. */
export function accountRate(type: string, options: Readonly<Record<string, unknown>>): number {
  const descriptor = descriptors.find((known) => known.type === type)
  if (!descriptor) throw unknownType(type)
  const chosen = options['requestsPerSecond']
  return typeof chosen === 'number' ? chosen : descriptor.defaults.requestsPerSecond
}

export function unknownType(type: string): CloudError {
  return new CloudError('invalid', `there is no provider type ${type}`, {
    hint: `Known types: ${descriptors.map((descriptor) => descriptor.type).join(', ')}.`,
  })
}
