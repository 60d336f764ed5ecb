import { randomBytes } from 'node:crypto'
import { CloudError } from '../../../common/errors.ts'
import type { CapabilityCheck } from '../connector.ts'
import type { S3Client } from './s3-client.ts'
import type { S3Place } from './s3-place.ts'
import { bufferSource, putObject } from './write-object.ts'

/** Tries conditions on one tiny object, which is removed again. */
export async function measureServer(client: S3Client, signal: AbortSignal): Promise<readonly CapabilityCheck[]> {
  const { bucket, prefix } = client.settings
  if (bucket === null) return [{ name: 'conditional write', result: 'unknown', detail: 'measured for one bucket only' }]
  const place: S3Place = { bucket, key: Buffer.from(`${prefix}.cloudmoor-measure-${randomBytes(8).toString('hex')}`) }
  const put = (contents: string, precondition: Parameters<typeof putObject>[4]['precondition']) =>
    putObject(client, place, 'file', bufferSource(Buffer.from(contents)), { posix: {}, precondition }, signal)
  try {
    await put('1', { kind: 'any' })
    return [
      await refused('conditional creation', () => put('2', { kind: 'absent' })),
      await refused('conditional replacement', () => put('3', { kind: 'rev', rev: '"00000000000000000000000000000000"' })),
    ]
  } finally {
    await client.head({ method: 'DELETE', ...place }, signal).catch(() => undefined)
  }
}

/** A server that keeps conditions refuses these. */
async function refused(name: string, run: () => Promise<unknown>): Promise<CapabilityCheck> {
  try {
    await run()
    return { name, result: 'no', detail: 'the server ignores the condition' }
  } catch (caught) {
    const error = CloudError.from(caught)
    if (error.kind === 'conflict') return { name, result: 'yes', detail: '' }
    return { name, result: error.kind === 'unsupported' ? 'no' : 'unknown', detail: error.message }
  }
}
