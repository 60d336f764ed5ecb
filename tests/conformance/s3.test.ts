import { S3Client } from '../../src-service/drive/connectors/s3/s3-client.ts'
import { resolveSettings } from '../../src-service/drive/connectors/s3/settings.ts'
import { minio, swift, versitygw } from '../servers/s3-servers.ts'
import type { S3ServerKind } from '../servers/s3-servers.ts'
import { signal } from './candidate.ts'
import type { Ability, Bench } from './candidate.ts'
import { connectorConformance, skippedConformance } from './connector-conformance.ts'
import { openS3Bench } from './s3-bench.ts'
import { s3Sheets } from './s3-sheets.ts'

/** What no object store of this protocol has. */
const everywhere: readonly Ability[] = ['tree-move', 'real-folders', 'xattrs']

await conform(minio, minio.preset, '', ['twins', 'empty-segments', 'dot-segments'])
await conform(minio, 'generic', 'some/caf\u00e9', ['twins', 'empty-segments', 'dot-segments'])
await conform(versitygw, versitygw.preset, '', [
  'twins',
  'attributes-in-listings',
  'control-signs',
  'empty-segments',
  'dot-segments',
  'slash-contents',
])
await conform(swift, swift.preset, '', ['server-conditions', 'exclusive-creation', 'attributes-in-listings'])

/** @param prefix of the bench's root in its bucket; '' is the bucket itself */
async function conform(kind: S3ServerKind, preset: string, prefix: string, lacks: readonly Ability[]): Promise<void> {
  const found = await kind.find()
  const server = preset === kind.preset && prefix === '' ? kind.name : `${kind.name} as ${preset}, below a prefix`
  if ('missing' in found) skippedConformance({ provider: 's3', server }, found.missing)
  else
    connectorConformance({
      provider: 's3',
      server,
      sheet: s3Sheets[kind.name],
      lacks: [...everywhere, ...lacks],
      open: () => open(kind, found.path, preset, prefix),
    })
}

async function open(kind: S3ServerKind, path: string, preset: string, prefix: string): Promise<Bench> {
  const server = await kind.start(path)
  const bench = await openS3Bench(server, preset)
  const one = () => (prefix === '' ? bench.open() : bench.openAccount(`${bench.bucket}/${prefix}`))
  const client = new S3Client(
    resolveSettings({
      settings: {
        options: { endpoint: server.endpoint, accessKeyId: server.accessKeyId },
        secret: (name) => (name === 'secretAccessKey' ? server.secretAccessKey : undefined),
      },
      remoteRoot: '',
      log: () => undefined,
    }),
  )
  const [connector, other] = [one(), one()]
  // With the preset of another server, a mount knows what this one does after its first change.
  if (preset !== 'minio') for (const each of [connector, other]) await each.measure?.(true, signal)
  return {
    connector,
    other,
    received: () => bench.proxy.received,
    plant: async (key, contents) => {
      const body = Buffer.from(contents)
      const headers = { 'content-length': String(body.length) }
      const whole = Buffer.from(prefix === '' ? key : `${prefix}/${key}`)
      await client.head({ method: 'PUT', bucket: bench.bucket, key: whole, headers, body }, signal)
    },
    close: async () => {
      await client.close()
      await bench.close()
      await server.stop()
    },
  }
}
