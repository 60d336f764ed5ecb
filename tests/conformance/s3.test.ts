import { randomBytes } from 'node:crypto'
import { afterAll, describe, test } from 'vitest'
import type { ConnectorContext } from '../../src-service/drive/connectors/connector.ts'
import { openConnector } from '../../src-service/drive/connectors/registry.ts'
import { findMinio, startMinio } from '../servers/minio.ts'
import type { MinioServer } from '../servers/minio.ts'
import { startChaosProxy } from '../support/chaos-proxy.ts'
import { at, signal } from './candidate.ts'
import type { Ability, Bench } from './candidate.ts'
import { connectorConformance } from './connector-conformance.ts'

const found = await findMinio()

if ('missing' in found) {
  describe('s3', () => {
    test.skip(`MinIO: ${found.missing}`, () => undefined)
  })
} else {
  let server: Promise<MinioServer> | null = null
  afterAll(async () => {
    await (await server)?.stop()
  })
  const open = async (preset: string, inPrefix: boolean): Promise<Bench> => {
    server ??= startMinio(found.path)
    return await openBench(await server, preset, inPrefix)
  }
  // MinIO keeps keys below another key (`a` and `a/b`) but lists only the upper one.
  const lacks: readonly Ability[] = ['tree-move', 'real-folders', 'twins', 'xattrs']
  connectorConformance({ name: 's3 (MinIO)', lacks, open: () => open('minio', false) })
  connectorConformance({
    name: 's3 (MinIO as an unknown server, below a prefix)',
    lacks: [...lacks, 'attributes-in-listings'],
    open: () => open('generic', true),
  })
}

/** A bucket of its own, behind a proxy that counts. */
async function openBench(minio: MinioServer, preset: string, inPrefix: boolean): Promise<Bench> {
  const proxy = await startChaosProxy(minio.endpoint)
  const bucket = `bench-${randomBytes(6).toString('hex')}`
  const context = (options: Record<string, string | number>, remoteRoot: string): ConnectorContext => ({
    settings: {
      options: { preset, endpoint: proxy.endpoint, accessKeyId: minio.accessKeyId, partSize: 5, ...options },
      secret: (name) => (name === 'secretAccessKey' ? minio.secretAccessKey : undefined),
    },
    remoteRoot,
    log: () => undefined,
  })
  const account = openConnector('s3', context({}, ''))
  await account.makeFolder(at(bucket), {}, signal)
  await account.close()
  const one = () => openConnector('s3', inPrefix ? context({}, `${bucket}/some/caf\u00e9`) : context({ bucket }, ''))
  const [connector, other] = [one(), one()]
  return {
    connector,
    other,
    received: () => proxy.received,
    close: async () => {
      await connector.close()
      await other.close()
      await proxy.close()
    },
  }
}
