/** Every provider type as data, in the order in which people see them. Imports no code that speaks to a cloud. */
import type { Descriptor } from './connector.ts'
import { localDescriptor } from './local/descriptor.ts'
import { s3Descriptor } from './s3/descriptor.ts'
import { webdavDescriptor } from './webdav/descriptor.ts'

export const descriptors: readonly Descriptor[] = [localDescriptor, s3Descriptor, webdavDescriptor]
