import { afterAll, describe, test } from 'vitest'
import { findMinio, startMinio } from '../servers/minio.ts'
import type { MinioServer } from '../servers/minio.ts'
import type { Ability, Bench } from './candidate.ts'
import { connectorConformance } from './connector-conformance.ts'
import { openS3Bench } from './s3-bench.ts'

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

async function openBench(minio: MinioServer, preset: string, inPrefix: boolean): Promise<Bench> {
  const bench = await openS3Bench(minio, preset)
  const one = () => (inPrefix ? bench.openAccount(`${bench.bucket}/some/caf\u00e9`) : bench.open())
  return { connector: one(), other: one(), received: () => bench.proxy.received, close: bench.close }
}
