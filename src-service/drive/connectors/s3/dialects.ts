/** How object stores differ, as data. A preset is a dialect with the options that lead to its servers. */

/** `yes`: the server honours it; `unsure`: it is sent, and checked by a request before; `no`: it is not sent, only checked before. */
export type Support = 'yes' | 'unsure' | 'no'

export interface Dialect {
  /** If-None-Match: * on PUT. */
  readonly conditionalCreate: Support
  /** If-Match on PUT. */
  readonly conditionalReplace: Support
  /** Both on the completion of an upload in parts. */
  readonly conditionalComplete: Support
  /** If-Match on DELETE. */
  readonly conditionalDelete: Support
  /** If-Match and If-None-Match for the target of a copy. */
  readonly conditionalCopy: Support
  /** What protects contents on their way. */
  readonly checksum: 'crc32' | 'md5'
  /** Listings carry user metadata when asked (`metadata=true`). */
  readonly listsMetadata: boolean
  /** Many objects are removed by one request. */
  readonly batchDelete: boolean
  /** Bytes of one segment of a key. */
  readonly maxNameBytes: number
}

const strict: Dialect = {
  conditionalCreate: 'yes',
  conditionalReplace: 'yes',
  conditionalComplete: 'yes',
  conditionalDelete: 'no',
  conditionalCopy: 'no',
  checksum: 'crc32',
  listsMetadata: false,
  batchDelete: true,
  maxNameBytes: 1024,
}

const plain: Dialect = { ...strict, conditionalCreate: 'no', conditionalReplace: 'no', conditionalComplete: 'no', checksum: 'md5' }
const unsure: Dialect = { ...plain, conditionalCreate: 'unsure', conditionalReplace: 'unsure', conditionalComplete: 'unsure' }

export interface S3Preset {
  readonly name: string
  readonly title: string
  readonly values: Readonly<Record<string, string | number | boolean>>
  readonly dialect: Dialect
}

/** `{region}` in an endpoint stands for the region. */
export const s3Presets: readonly S3Preset[] = [
  {
    name: 'aws',
    title: 'Amazon S3',
    values: { endpoint: 'https://s3.{region}.amazonaws.com', region: 'us-east-1', pathStyle: false },
    dialect: { ...strict, conditionalDelete: 'yes', conditionalCopy: 'yes' },
  },
  {
    name: 'minio',
    title: 'MinIO',
    values: { region: 'us-east-1', pathStyle: true },
    dialect: { ...strict, listsMetadata: true, maxNameBytes: 255 },
  },
  { name: 'r2', title: 'Cloudflare R2', values: { region: 'auto', pathStyle: true }, dialect: { ...strict, checksum: 'md5' } },
  {
    name: 'wasabi',
    title: 'Wasabi',
    values: { endpoint: 'https://s3.{region}.wasabisys.com', region: 'us-east-1', pathStyle: true },
    dialect: unsure,
  },
  {
    name: 'backblaze',
    title: 'Backblaze B2',
    values: { endpoint: 'https://s3.{region}.backblazeb2.com', region: 'us-west-004', pathStyle: true },
    dialect: plain,
  },
  {
    name: 'ceph',
    title: 'Ceph RADOS Gateway',
    values: { region: 'us-east-1', pathStyle: true },
    dialect: unsure,
  },
  { name: 'swift', title: 'OpenStack Swift', values: { region: 'us-east-1', pathStyle: true }, dialect: plain },
  {
    name: 'digitalocean',
    title: 'DigitalOcean Spaces',
    values: { endpoint: 'https://{region}.digitaloceanspaces.com', region: 'nyc3', pathStyle: false },
    dialect: unsure,
  },
  { name: 'generic', title: 'Other S3 server', values: { region: 'us-east-1', pathStyle: true }, dialect: { ...strict, checksum: 'md5' } },
]

export const defaultPreset = 'generic'
