/** Servers as tests of the S3 connector use them. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, test } from 'vitest'
import type { ConnectorContext } from '../../src-service/drive/connectors/connector.ts'
import { openConnector } from '../../src-service/drive/connectors/registry.ts'
import type { OpenConnector } from '../../src-service/drive/connectors/registry.ts'
import type { HttpResponse } from '../../src-service/drive/connectors/http.ts'
import { noKey, S3Client } from '../../src-service/drive/connectors/s3/s3-client.ts'
import type { S3Request } from '../../src-service/drive/connectors/s3/s3-client.ts'
import { resolveSettings } from '../../src-service/drive/connectors/s3/settings.ts'
import { findMinio, startMinio } from '../servers/minio.ts'
import type { S3Server } from '../servers/minio.ts'
import { startChaosProxy } from '../support/chaos-proxy.ts'
import type { ChaosProxy, Fate, Seen } from '../support/chaos-proxy.ts'
import { at, signal } from './candidate.ts'

export interface S3Bench {
  readonly bucket: string
  readonly proxy: ChaosProxy
  /** A connector on the bucket; options replace those of the bench. */
  readonly open: (
    options?: Readonly<Record<string, string | number | boolean>>,
    remoteRoot?: string,
    kept?: ConnectorContext['kept'],
  ) => OpenConnector
  /** The same without a bucket in its options. */
  readonly openAccount: (remoteRoot?: string) => OpenConnector
  readonly close: () => Promise<void>
}

/** A bucket of its own, behind a proxy. */
export async function openS3Bench(server: S3Server, preset: string): Promise<S3Bench> {
  const proxy = await startChaosProxy(server.endpoint)
  const bucket = `bench-${randomBytes(6).toString('hex')}`
  const opened: OpenConnector[] = []
  const openWith = (options: Readonly<Record<string, string | number | boolean>>, remoteRoot: string, kept?: ConnectorContext['kept']) => {
    const context: ConnectorContext = {
      settings: {
        options: { preset, endpoint: proxy.endpoint, accessKeyId: server.accessKeyId, partSize: 5, ...options },
        secret: (name) => (name === 'secretAccessKey' ? server.secretAccessKey : undefined),
      },
      remoteRoot,
      log: () => undefined,
      ...(kept && { kept }),
    }
    const connector = openConnector('s3', context)
    opened.push(connector)
    return connector
  }
  await openWith({}, '').makeFolder(at(bucket), {}, signal)
  return {
    bucket,
    proxy,
    open: (options = {}, remoteRoot = '', kept) => openWith({ bucket, ...options }, remoteRoot, kept),
    openAccount: (remoteRoot = '') => openWith({}, remoteRoot),
    close: async () => {
      for (const connector of opened) await connector.close()
      await proxy.close()
    },
  }
}

/** What tests of one file work with; valid inside tests. */
export interface S3Ground {
  readonly minio: S3Server
  readonly bench: S3Bench
  readonly connector: OpenConnector
  /** A signed request on the bench's bucket, or on an object in it, straight to the server; resolves with the head of its answer. */
  readonly raw: (request: Partial<S3Request>) => Promise<HttpResponse>
  /** The first requests that match meet the fates, one each; the others pass. */
  readonly strike: (matches: (seen: Seen) => boolean, ...fates: Fate[]) => void
}

const found = await findMinio()

/** The tests of one file, with a server of their own; skipped with the reason where there is none. */
export function withMinio(tests: (ground: S3Ground) => void): void {
  if ('missing' in found) {
    test.skip(`MinIO: ${found.missing}`, () => undefined)
    return
  }
  let opened: { readonly minio: S3Server; readonly bench: S3Bench; readonly connector: OpenConnector } | null = null
  const here = () => {
    if (!opened) throw new Error('the bench did not open')
    return opened
  }
  beforeAll(async () => {
    const minio = await startMinio(found.path)
    const bench = await openS3Bench(minio, 'minio').catch(async (caught: unknown) => {
      await minio.stop()
      throw caught
    })
    opened = { minio, bench, connector: bench.open() }
  })
  afterAll(async () => {
    await opened?.bench.close()
    await opened?.minio.stop()
  })
  beforeEach(() => {
    const { proxy } = here().bench
    proxy.decide = () => ({ kind: 'pass' })
    proxy.struck = 0
    proxy.sockets = 0
    proxy.seen.length = 0
  })
  tests({
    get minio() {
      return here().minio
    },
    get bench() {
      return here().bench
    },
    get connector() {
      return here().connector
    },
    raw: async (request) => {
      const { minio: server, bench } = here()
      const client = rawClient(server)
      try {
        const length = Buffer.isBuffer(request.body) ? { 'content-length': String(request.body.length) } : {}
        const headers = { ...length, ...request.headers }
        return await client.head({ method: 'GET', bucket: bench.bucket, key: noKey, ...request, headers }, signal)
      } finally {
        await client.close()
      }
    },
    strike: (matches, ...fates) => {
      here().bench.proxy.decide = (seen) => (matches(seen) ? (fates.shift() ?? { kind: 'pass' }) : { kind: 'pass' })
    },
  })
}

/** Requests as another client would send them. */
export function rawClient(server: S3Server): S3Client {
  return new S3Client(
    resolveSettings({
      settings: {
        options: { endpoint: server.endpoint, accessKeyId: server.accessKeyId },
        secret: (name) => (name === 'secretAccessKey' ? server.secretAccessKey : undefined),
      },
      remoteRoot: '',
      log: () => undefined,
    }),
  )
}
