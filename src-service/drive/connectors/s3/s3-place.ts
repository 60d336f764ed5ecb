import { isUtf8 } from 'node:buffer'
import { CloudError } from '../../../common/errors.ts'
import type { RemotePlace } from '../connector.ts'
import type { Dialect } from './dialects.ts'
import { noKey } from './s3-client.ts'
import type { S3Client } from './s3-client.ts'

/** Where a place is on the account. `key` is without a slash at its end; empty for the bucket itself. */
export interface S3Place {
  /** Null: the list of all buckets. */
  readonly bucket: string | null
  readonly key: Buffer
}

const slash = Buffer.from('/')
const dots: readonly Buffer[] = [Buffer.from('.'), Buffer.from('..')]

/** @throws CloudError `name-invalid`, `name-too-long` for what cannot be a key */
export function s3PlaceOf({ settings, dialect }: S3Client, place: RemotePlace): S3Place {
  const names = place.path.map((name) => checkedName(dialect, name))
  if (settings.bucket !== null) {
    return { bucket: settings.bucket, key: checkedKey(Buffer.concat([Buffer.from(settings.prefix), join(names)])) }
  }
  const [bucket, ...rest] = names
  return { bucket: bucket?.toString() ?? null, key: checkedKey(join(rest)) }
}

/** The key of the folder's marker and the prefix of all that is in it; empty for the bucket. */
export function folderKey(key: Buffer): Buffer {
  return key.length === 0 || key.at(-1) === 0x2f ? key : Buffer.concat([key, slash])
}

function join(names: readonly Buffer[]): Buffer {
  return names.length === 0 ? noKey : Buffer.concat(names.flatMap((name, index) => (index === 0 ? [name] : [slash, name])))
}

function checkedName(dialect: Dialect, name: Buffer): Buffer {
  if (!isShowable(name) || name.includes(0x2f))
    throw new CloudError('name-invalid', 'S3 keys are UTF-8 and have no empty, "." or ".." segments')
  if (name.length > dialect.maxNameBytes) throw new CloudError('name-too-long', 'the name is too long for this server')
  return name
}

function checkedKey(key: Buffer): Buffer {
  // One byte is left for the slash of a folder.
  if (key.length > 1023) throw new CloudError('name-too-long', 'an S3 key has at most 1,024 bytes')
  return key
}

/** Can be a name on a drive. */
export function isShowable(name: Buffer): boolean {
  return name.length > 0 && !name.includes(0) && !dots.some((dot) => name.equals(dot)) && isUtf8(name)
}
