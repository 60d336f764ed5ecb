import { CloudError } from '../../../common/errors.ts'
import type { Request } from '../connections.ts'

/** The whole JSON body of a request as text; '' = it has none. Throws `too-large`, `unsupported`, `invalid` (not UTF-8). */
export async function readBody(request: Request, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxBytes) throw new CloudError('too-large', `the body has more than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  if (size === 0) return ''
  const { 'content-type': type = '', 'content-encoding': encoding = 'identity' } = request.headers
  if (!/^application\/json\b/i.test(type)) throw new CloudError('invalid', 'the body must be application/json', { code: 'MEDIA_TYPE' })
  if (encoding !== 'identity') throw new CloudError('invalid', 'the body must not be compressed', { code: 'MEDIA_TYPE' })
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks))
  } catch (caught) {
    throw new CloudError('invalid', 'the body is not UTF-8', { cause: caught })
  }
}
