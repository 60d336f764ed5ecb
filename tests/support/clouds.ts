/** Clouds that mounts are tested on: a folder and a real MinIO. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findMinio, startMinio } from '../servers/minio.ts'
import { S3Connector } from '../../src-service/drive/connectors/s3/s3-connector.ts'
import type { AccountSpec } from './installation.ts'

export interface Cloud extends AsyncDisposable {
  readonly name: string
  readonly account: AccountSpec
  /** Where the `local` provider keeps its files. */
  readonly folder: string | null
}

export async function localCloud(): Promise<Cloud> {
  const folder = await mkdtemp(join(tmpdir(), 'cm-cloud-'))
  await mkdir(join(folder, 'data'))
  return {
    name: 'local',
    account: { type: 'local', set: { path: join(folder, 'data') }, secrets: {} },
    folder: join(folder, 'data'),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

/** A MinIO with an empty bucket, or the reason why there is none. */
export async function minioCloud(): Promise<Cloud | { readonly missing: string }> {
  const found = await findMinio()
  if ('missing' in found) return { missing: found.missing }
  const server = await startMinio(found.path)
  const set = { preset: 'minio', endpoint: server.endpoint, accessKeyId: server.accessKeyId, bucket: 'drive' }
  try {
    await makeBucket(server.endpoint, server.accessKeyId, server.secretAccessKey)
  } catch (error) {
    await server.stop()
    throw error
  }
  return {
    name: 'minio',
    account: { type: 's3', set, secrets: { secretAccessKey: server.secretAccessKey } },
    folder: null,
    [Symbol.asyncDispose]: () => server.stop(),
  }
}

/** All buckets are folders of an account without one: making a folder there makes a bucket. */
async function makeBucket(endpoint: string, accessKeyId: string, secretAccessKey: string): Promise<void> {
  const connector = new S3Connector({
    settings: {
      options: { preset: 'minio', endpoint, accessKeyId },
      secret: (name) => (name === 'secretAccessKey' ? secretAccessKey : undefined),
    },
    remoteRoot: '',
    log: () => undefined,
  })
  try {
    await connector.makeFolder({ path: [Buffer.from('drive')], id: null, parentId: null }, {}, AbortSignal.timeout(15_000))
  } finally {
    await connector.close()
  }
}
