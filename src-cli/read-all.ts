import { usageFailure } from './failure.ts'

const limit = 1024 * 1024

/** All text of a stream, at most 1 MiB. @param name what it is, where it is longer */
export async function readAll(stream: AsyncIterable<Buffer | string>, name: string): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk)
    length += bytes.length
    if (length > limit) throw usageFailure(`${name} is longer than 1 MiB: neither a secret nor a configuration is`)
    chunks.push(bytes)
  }
  return Buffer.concat(chunks).toString('utf8')
}
