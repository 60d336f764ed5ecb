import { usageFailure } from './failure.ts'

const limit = 1024 * 1024

/** All text of a stream, at most 1 MiB. */
export async function readAll(stream: AsyncIterable<Buffer | string>): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk)
    length += bytes.length
    if (length > limit) throw usageFailure('more than 1 MiB on stdin: this is not a secret')
    chunks.push(bytes)
  }
  return Buffer.concat(chunks).toString('utf8')
}
