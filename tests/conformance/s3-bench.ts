/** MinIO as tests of the S3 connector use it. */
import { randomBytes } from 'node:crypto'
import type { ConnectorContext } from '../../src-service/drive/connectors/connector.ts'
import { openConnector } from '../../src-service/drive/connectors/registry.ts'
import type { OpenConnector } from '../../src-service/drive/connectors/registry.ts'
import type { MinioServer } from '../servers/minio.ts'
import { startChaosProxy } from '../support/chaos-proxy.ts'
import type { ChaosProxy } from '../support/chaos-proxy.ts'
import { at, signal } from './candidate.ts'

export interface S3Bench {
  readonly bucket: string
  readonly proxy: ChaosProxy
  /** A connector on the bucket; options replace those of the bench. */
  readonly open: (options?: Readonly<Record<string, string | number>>, remoteRoot?: string) => OpenConnector
  /** The same without a bucket in its options. */
  readonly openAccount: (remoteRoot?: string) => OpenConnector
  readonly close: () => Promise<void>
}

/** A bucket of its own, behind a proxy. */
export async function openS3Bench(minio: MinioServer, preset: string): Promise<S3Bench> {
  const proxy = await startChaosProxy(minio.endpoint)
  const bucket = `bench-${randomBytes(6).toString('hex')}`
  const opened: OpenConnector[] = []
  const openWith = (options: Readonly<Record<string, string | number>>, remoteRoot: string) => {
    const context: ConnectorContext = {
      settings: {
        options: { preset, endpoint: proxy.endpoint, accessKeyId: minio.accessKeyId, partSize: 5, ...options },
        secret: (name) => (name === 'secretAccessKey' ? minio.secretAccessKey : undefined),
      },
      remoteRoot,
      log: () => undefined,
    }
    const connector = openConnector('s3', context)
    opened.push(connector)
    return connector
  }
  await openWith({}, '').makeFolder(at(bucket), {}, signal)
  return {
    bucket,
    proxy,
    open: (options = {}, remoteRoot = '') => openWith({ bucket, ...options }, remoteRoot),
    openAccount: (remoteRoot = '') => openWith({}, remoteRoot),
    close: async () => {
      for (const connector of opened) await connector.close()
      await proxy.close()
    },
  }
}
