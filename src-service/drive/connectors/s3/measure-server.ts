/** What a server really does, found out with a few tiny objects that are removed again. */
import type { CapabilityCheck } from '../../../common/drive-state.ts'
import { CloudError } from '../../../common/errors.ts'
import type { Precondition } from '../connector.ts'
import { childOf, childrenOf, escapeXml, requiredText, textOf } from '../xml.ts'
import { copyObject } from './copy-object.ts'
import type { Dialect, Support } from './dialects.ts'
import { measuringName } from './measuring-name.ts'
import { metadataHeaders } from './metadata.ts'
import { abandonUpload } from './multipart.ts'
import { Removals } from './remove-objects.ts'
import { noKey } from './s3-client.ts'
import type { S3Client } from './s3-client.ts'
import { header } from '../http.ts'
import { bufferSource, conditionHeaders, putObject } from './write-object.ts'

export interface Measured {
  readonly dialect: Partial<Dialect>
  readonly checks: readonly CapabilityCheck[]
}

type Answer = Omit<CapabilityCheck, 'name'>

const longestAnswer = 2 ** 20
const someRev = '"00000000000000000000000000000000"'

/** @throws CloudError if not even an object can be stored */
export async function measureServer(client: S3Client, bucket: string, prefix: string, signal: AbortSignal): Promise<Measured> {
  const name = prefix + measuringName()
  const ground = new Ground(client, bucket, name, signal)
  try {
    await ground.put('', { kind: 'any' })
    const creation = await refused(() => ground.put('', { kind: 'absent' }))
    const replacement = await refused(() => ground.put('', { kind: 'rev', rev: someRev }))
    const completion = await refused(() => ground.completeOver())
    const crc32 = await refused(() => ground.putDamaged({ 'x-amz-checksum-crc32': 'AAAAAA==' }))
    const md5 = await refused(() => ground.putDamaged({ 'content-md5': 'AAAAAAAAAAAAAAAAAAAAAA==' }))
    const copy = await works(() => ground.copy('-copy', { kind: 'any' }))
    const conditionalCopy = await refused(() => ground.copy('', { kind: 'rev', rev: someRev }))
    const listing = await answered(() => ground.listsMetadata())
    const longNames = await works(() => ground.put('x'.repeat(256), { kind: 'any' }))
    const batch = await works(() => ground.removeTogether(['-copy', '-other']))
    const versions = await answered(() => ground.versioning())
    const removal = await refused(() => ground.removeIf(someRev))
    return {
      dialect: {
        conditionalCreate: supportOf(creation),
        conditionalReplace: supportOf(replacement),
        conditionalComplete: supportOf(completion),
        conditionalCopy: supportOf(conditionalCopy),
        conditionalDelete: supportOf(removal),
        checksum: crc32.result === 'yes' ? 'crc32' : 'md5',
        listsMetadata: listing.result === 'yes',
        batchDelete: batch.result === 'yes',
        maxNameBytes: longNames.result === 'no' ? 255 : 1024,
      },
      checks: [
        { name: 'conditional creation', ...creation },
        { name: 'conditional replacement', ...replacement },
        { name: 'conditional completion of large uploads', ...completion },
        { name: 'conditional removal', ...removal },
        { name: 'server-side copy', ...copy },
        { name: 'conditional copy', ...conditionalCopy },
        { name: 'CRC32 of contents', ...crc32 },
        { name: 'MD5 of contents', ...md5 },
        { name: 'attributes in listings', ...listing },
        { name: 'removing many at once', ...batch },
        { name: 'names over 255 bytes', ...longNames },
        { name: 'versions are kept', ...versions },
      ],
    }
  } finally {
    for (const end of ['', '-copy', 'x'.repeat(256)]) await ground.remove(end).catch(() => undefined)
  }
}

/** Requests on one object and on those whose names begin like its own. */
class Ground {
  readonly #client: S3Client
  readonly #bucket: string
  readonly #name: string
  readonly #signal: AbortSignal

  constructor(client: S3Client, bucket: string, name: string, signal: AbortSignal) {
    this.#client = client
    this.#bucket = bucket
    this.#name = name
    this.#signal = signal
  }

  async put(end: string, precondition: Precondition) {
    const posix = { mode: 0o600 }
    return await putObject(this.#client, this.#place(end), 'file', bufferSource(Buffer.from('1')), { posix, precondition }, this.#signal)
  }

  async putDamaged(checksum: Readonly<Record<string, string>>): Promise<void> {
    const headers = { ...this.#client.settings.everyObject, ...checksum, 'content-length': '1' }
    await this.#client.head({ method: 'PUT', ...this.#place(''), headers, body: Buffer.from('1') }, this.#signal)
  }

  /** A large upload of one small part over an object that is there. */
  async completeOver(): Promise<void> {
    const place = this.#place('')
    const begin = { method: 'POST' as const, ...place, query: [['uploads', '']] as const, headers: this.#client.settings.everyObject }
    const { node } = await this.#client.xml(begin, 'InitiateMultipartUploadResult', longestAnswer, this.#signal)
    const uploadId = requiredText(node, 'UploadId')
    try {
      const query = [
        ['partNumber', '1'],
        ['uploadId', uploadId],
      ] as const
      const part = { method: 'PUT' as const, ...place, query, headers: { 'content-length': '1' }, body: Buffer.from('1') }
      const etag = header((await this.#client.head(part, this.#signal)).headers, 'etag') ?? ''
      const list = `<Part><PartNumber>1</PartNumber><ETag>${escapeXml(etag)}</ETag></Part>`
      const body = Buffer.from(`<CompleteMultipartUpload>${list}</CompleteMultipartUpload>`)
      const headers = { ...conditionHeaders({ kind: 'absent' }), 'content-length': String(body.length) }
      const complete = { method: 'POST' as const, ...place, query: [['uploadId', uploadId]] as const, headers, body }
      await this.#client.xml(complete, 'CompleteMultipartUploadResult', longestAnswer, this.#signal)
    } finally {
      const upload = { uploadId, bucket: this.#bucket, key: this.#name, partSize: 5 * 2 ** 20 }
      await abandonUpload(this.#client, JSON.stringify(upload), this.#signal).catch(() => undefined)
    }
  }

  /** Onto a name with `end`, '' being itself. */
  async copy(end: string, precondition: Precondition): Promise<void> {
    const { rev } = await this.put('', { kind: 'any' })
    const headers = metadataHeaders('file', { mode: 0o600 })
    await copyObject(this.#client, { place: this.#place(''), rev, size: 1 }, this.#place(end), headers, precondition, this.#signal)
  }

  async listsMetadata(): Promise<Answer> {
    const query = [
      ['list-type', '2'],
      ['metadata', 'true'],
      ['prefix', this.#name],
    ] as const
    const { node } = await this.#client.xml(
      { method: 'GET', bucket: this.#bucket, key: noKey, query },
      'ListBucketResult',
      longestAnswer,
      this.#signal,
    )
    const found = childrenOf(node, 'Contents').some((object) => childOf(object, 'UserMetadata') !== undefined)
    return { result: found ? 'yes' : 'no', detail: '' }
  }

  async removeTogether(ends: readonly string[]): Promise<void> {
    const removals = new Removals(this.#client)
    await Promise.all(ends.map((end) => removals.together(this.#bucket, this.#place(end).key, this.#signal)))
  }

  async versioning(): Promise<Answer> {
    const request = { method: 'GET' as const, bucket: this.#bucket, key: noKey, query: [['versioning', '']] as const }
    const { node } = await this.#client.xml(request, 'VersioningConfiguration', longestAnswer, this.#signal)
    const status = textOf(node, 'Status') ?? ''
    return { result: status === 'Enabled' ? 'yes' : 'no', detail: status }
  }

  async removeIf(rev: string): Promise<void> {
    await this.#client.head({ method: 'DELETE', ...this.#place(''), headers: { 'if-match': rev } }, this.#signal)
  }

  async remove(end: string): Promise<void> {
    await this.#client.head({ method: 'DELETE', ...this.#place(end) }, this.#signal)
  }

  #place(end: string): { bucket: string; key: Buffer } {
    return { bucket: this.#bucket, key: Buffer.from(this.#name + end) }
  }
}

/** A server that looks at what it is told refuses this. */
async function refused(run: () => Promise<unknown>): Promise<Answer> {
  try {
    await run()
    return { result: 'no', detail: 'the server ignores it' }
  } catch (caught) {
    const error = CloudError.from(caught)
    if (error.kind === 'conflict' || checksumCodes.has(error.code ?? '')) return { result: 'yes', detail: '' }
    return answerOf(error)
  }
}

const checksumCodes: ReadonlySet<string> = new Set(['BadDigest', 'XAmzContentChecksumMismatch', 'InvalidDigest'])

async function works(run: () => Promise<unknown>): Promise<Answer> {
  return await answered(async () => {
    await run()
    return { result: 'yes', detail: '' }
  })
}

async function answered(run: () => Promise<Answer>): Promise<Answer> {
  try {
    return await run()
  } catch (caught) {
    return answerOf(CloudError.from(caught))
  }
}

/** What a refusal says about the server: nothing, if it is the way there that fails, or the rights of the key. */
function answerOf(error: CloudError): Answer {
  switch (error.kind) {
    case 'unsupported':
    case 'invalid':
    case 'name-too-long':
    case 'name-invalid':
    case 'garbage':
      return { result: 'no', detail: error.message }
    case 'cancelled':
      throw error
    default:
      return { result: 'unknown', detail: error.message }
  }
}

/** What is not known for sure is not relied on. */
function supportOf({ result }: Answer): Support {
  return result === 'yes' ? 'yes' : 'no'
}
