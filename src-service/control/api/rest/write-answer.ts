import { toJson } from '@bufbuild/protobuf'
import type { DescMessage, JsonObject, JsonValue, Message } from '@bufbuild/protobuf'
import type { ConnectError } from '@connectrpc/connect'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { HttpBinding } from '../../../../proto/openapi/http-binding.ts'
import { correlationHeader } from '../call.ts'
import type { Response } from '../connections.ts'
import { httpStatus } from './http-status.ts'
import { reasonOf, statusJson } from './status-json.ts'

/** On every answer: nothing is kept by anyone, and nothing is taken for what it is not. */
export const plainHeaders = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' } as const

/** Fields that are zero, false or empty are there too: who reads JSON need not know their defaults. */
const complete = { alwaysEmitImplicit: true }

/** The answer of a unary call; a resource's etag also as header. */
export function writeMessage(response: Response, binding: HttpBinding, message: Message, correlationId: string): void {
  const body = answerJson(binding, message)
  const etag = typeof body === 'object' && body !== null && !Array.isArray(body) ? body['etag'] : undefined
  const headers = { ...plainHeaders, [correlationHeader]: correlationId, ...(typeof etag === 'string' ? { etag: `"${etag}"` } : {}) }
  writeJson(response, 200, body, headers)
}

function answerJson({ answer, method }: HttpBinding, message: Message): JsonValue {
  const json = toJson(method.output, message, complete) as JsonObject
  return answer === null ? json : (json[answer.jsonName] ?? {})
}

export function writeError(response: Response, error: ConnectError, correlationId: string, conditional: boolean): void {
  const headers: Record<string, string> = { ...plainHeaders, [correlationHeader]: correlationId }
  const allow = error.metadata.get('allow')
  if (allow !== null) headers['allow'] = allow
  const status = allow === null ? httpStatus(error.code, reasonOf(error), conditional) : 405
  if (status === 401) headers['www-authenticate'] = 'Bearer'
  writeJson(response, status, statusJson(error), headers)
}

export function writeJson(
  response: Response,
  status: number,
  body: JsonValue,
  headers: Readonly<Record<string, string>> = plainHeaders,
): void {
  if (response.headersSent || response.destroyed) return
  const bytes = Buffer.from(`${JSON.stringify(body)}\n`)
  begin(response, status, { 'content-type': 'application/json', 'content-length': String(bytes.length), ...headers })
  response.end(bytes)
}

/** How the messages of a stream are written. */
type StreamFormat = 'ndjson' | 'sse'

export function streamFormat(accept: string | undefined): StreamFormat {
  return accept?.includes('text/event-stream') === true ? 'sse' : 'ndjson'
}

/** Writes a stream as it comes; waits where the client reads slowly. The headers go with the first message, so that an error before it is a status. */
export async function writeStream(
  response: Response,
  messages: AsyncIterable<Message>,
  desc: DescMessage,
  format: StreamFormat,
  correlationId: string,
  signal: AbortSignal,
): Promise<void> {
  const contentType = format === 'sse' ? 'text/event-stream' : 'application/x-ndjson'
  for await (const message of messages) {
    if (!response.headersSent) begin(response, 200, { 'content-type': contentType, ...plainHeaders, [correlationHeader]: correlationId })
    await send(response, entry(toJson(desc, message, complete), format), signal)
  }
  if (!response.headersSent) begin(response, 200, { 'content-type': contentType, ...plainHeaders, [correlationHeader]: correlationId })
  response.end()
}

/** The end of a stream that failed after it began: a last line with `error`, or an event of that name. */
export function endWithError(response: Response, error: ConnectError, format: StreamFormat): void {
  const status = JSON.stringify(statusJson(error))
  response.end(format === 'sse' ? `event: error\ndata: ${status}\n\n` : `{"error":${status}}\n`)
}

/** A message with a cursor carries it as the event's id, so that a browser resumes with Last-Event-ID. */
function entry(json: JsonValue, format: StreamFormat): string {
  const line = JSON.stringify(json)
  if (format === 'ndjson') return `${line}\n`
  const cursor = typeof json === 'object' && json !== null && !Array.isArray(json) ? json['cursor'] : undefined
  return `${typeof cursor === 'string' && cursor !== '' ? `id: ${cursor}\n` : ''}data: ${line}\n\n`
}

async function send(response: Response, text: string, signal: AbortSignal): Promise<void> {
  if (writeText(response, text)) return
  await once(response, 'drain', { signal })
}

function writeText(response: Response, text: string): boolean {
  return (response as ServerResponse).write(text)
}

/** Sends the head of an answer. The responses of HTTP/1.1 and HTTP/2 agree on this, but not in their types. */
export function begin(response: Response, status: number, headers: Readonly<Record<string, string>>): void {
  ;(response as ServerResponse).writeHead(status, headers)
}
