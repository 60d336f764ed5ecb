import { Code } from '@connectrpc/connect'
import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { readError } from '../../../proto/client/read-error.ts'
import { CloudError } from '../../common/errors.ts'
import type { ErrorKind } from '../../common/errors.ts'
import { toWireError } from './wire-errors.ts'

it('gives every kind the status that the contract documents', async () => {
  const contract = await readFile(new URL('../../../proto/cloudmoor/v1/errors.proto', import.meta.url), 'utf8')
  const documented = [...contract.matchAll(/Code ([A-Z_]+)\.\n +ERROR_REASON_([A-Z_]+) = (\d+);/g)]
  expect(documented.length).toBeGreaterThan(50)
  for (const [, status = '', reason = '', number] of documented) {
    if (Number(number) >= 100) continue
    const kind = reason.toLowerCase().replaceAll('_', '-') as ErrorKind
    const wire = toWireError(new CloudError(kind, 'x'), 'id')
    const code = Code[wire.code].replaceAll(/(?<=[a-z])([A-Z])/g, '_$1').toUpperCase()
    expect([reason, code.replace('CANCELED', 'CANCELLED')]).toEqual([reason, status])
    expect(readError(wire)).toMatchObject({ reason, correlationId: 'id' })
  }
})

it('takes a code as the reason only if it is one of ours', () => {
  const own = toWireError(new CloudError('offline', 'no worker', { code: 'WORKER_UNAVAILABLE' }), 'id')
  expect(readError(own)).toMatchObject({ status: 'Unavailable', reason: 'WORKER_UNAVAILABLE', providerCode: '' })
  const theirs = toWireError(new CloudError('access', 'no', { code: 'NoSuchBucket', hint: 'look' }), 'id')
  expect(readError(theirs)).toMatchObject({ status: 'PermissionDenied', reason: 'ACCESS', providerCode: 'NoSuchBucket', hint: 'look' })
})

it('tells how long to wait in whole milliseconds', () => {
  const wire = toWireError(new CloudError('throttled', 'later', { retryAfterMs: 1999.7 }), 'id')
  expect(wire.details).toContainEqual(expect.objectContaining({ value: { retryDelay: { seconds: 2n, nanos: 0 } } }))
})

it('cuts what a URL in a message or hint carries', () => {
  const error = readError(
    toWireError(new CloudError('offline', 'GET https://a:hunter2@h/?sig=hunter2', { hint: 'see http://u:hunter2@h' }), 'id'),
  )
  expect(JSON.stringify(error)).not.toContain('hunter2')
})
