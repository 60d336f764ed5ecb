import { create } from '@bufbuild/protobuf'
import type { DescMessage, DescMethod, DescService, Message } from '@bufbuild/protobuf'
import { Code, ConnectError, createHandlerContext } from '@connectrpc/connect'
import type { HandlerContext, StreamResponse, UnaryRequest, UnaryResponse, StreamRequest } from '@connectrpc/connect'
import { Readable } from 'node:stream'
import { bindingsOf } from '../../../../proto/openapi/http-binding.ts'
import type { HttpBinding } from '../../../../proto/openapi/http-binding.ts'
import { CloudError } from '../../../common/errors.ts'
import type { Log } from '../../../common/telemetry/log.ts'
import { correlationKey } from '../call.ts'
import type { Visitor } from '../call.ts'
import type { Guard } from '../guard-calls.ts'
import type { Request, Response } from '../connections.ts'
import { readBody } from './read-body.ts'
import { readCall } from './read-call.ts'
import { refuseRoute, valuesOf } from './refuse-route.ts'
import { endWithError, streamFormat, writeError, writeMessage, writeStream } from './write-answer.ts'

export interface RestOptions {
  readonly services: readonly RestService[]
  readonly guard: Guard
  readonly log: Log
  readonly maxRequestBytes: number
  /** Aborted with the error that every call at work then ends with. */
  readonly ending: AbortSignal
}

export interface RestService {
  readonly service: DescService
  /** A function for each method, by its local name. */
  readonly implementation: object
}

/** What answers: a promise of the answer's fields, or a stream of them. */
type Work = (request: Message, context: HandlerContext) => unknown

interface Route {
  readonly binding: HttpBinding
  readonly work: Work
}

export type RestGateway = (request: Request, response: Response, visitor: Visitor) => void

/**
 * The methods of the contract over plain HTTP with JSON, as their google.api.http rules say. Every call passes the same guard as
 * those of the other protocols.
 */
export function createRestGateway(options: RestOptions): RestGateway {
  const routes = options.services.flatMap(({ service, implementation }) =>
    service.methods.flatMap((method) => bindingsOf(method).map((binding) => ({ binding, work: workOf(implementation, method) }))),
  )

  async function answer(request: Request, response: Response, visitor: Visitor, ended: AbortSignal): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://service')
    const found = findRoute(routes, request.method ?? 'GET', url.pathname)
    const conditional = request.headers['if-match'] !== undefined
    if (!('route' in found)) {
      refuseRoute(options.guard, request, response, visitor, found.allowed)
      return
    }
    const { binding, work } = found.route
    const context = contextOf(request, url, binding.method, visitor, ended, options.ending)
    const format = streamFormat(request.headers.accept)
    try {
      options.guard.gate(context)
      const message = await readMessage(request, url, found.route.binding, found.variables, context)
      const outcome = await callGuarded(options.guard, work, context, message)
      const correlationId = context.values.get(correlationKey)
      for (const cookie of outcome.header.getSetCookie()) response.appendHeader('set-cookie', cookie)
      if (!outcome.stream) writeMessage(response, binding, outcome.message, correlationId)
      else await writeStream(response, outcome.message, binding.method.output, format, correlationId, context.signal)
    } catch (caught) {
      const error = ConnectError.from(caught)
      context.abort(error)
      if (response.headersSent) endWithError(response, error, format)
      else writeError(response, error, context.values.get(correlationKey), conditional)
    } finally {
      context.abort()
    }
  }

  async function readMessage(
    request: Request,
    url: URL,
    binding: HttpBinding,
    variables: Readonly<Record<string, string>>,
    context: HandlerContext,
  ): Promise<Message> {
    try {
      const body = await readBody(request, options.maxRequestBytes)
      return readCall({ binding, variables, query: url.searchParams, headers: context.requestHeader, body })
    } catch (caught) {
      throw options.guard.refuse(context.values, context.method, caught)
    }
  }

  return (request, response, visitor) => {
    const ended = new AbortController()
    response.once('close', () => ended.abort(new ConnectError('the client went', Code.Canceled)))
    answer(request, response, visitor, ended.signal).catch((caught: unknown) => {
      options.log.write('error', 'an answer could not be written', { error: CloudError.from(caught) })
      response.destroy()
    })
  }
}

function workOf(implementation: object, method: DescMethod): Work {
  const work: unknown = Reflect.get(implementation, method.localName)
  if (typeof work === 'function') return work as Work
  throw new CloudError('internal', `${method.name} is not implemented`)
}

type Found = { readonly route: Route; readonly variables: Readonly<Record<string, string>> } | { readonly allowed: readonly string[] }

function findRoute(routes: readonly Route[], verb: string, path: string): Found {
  const allowed = new Set<string>()
  for (const route of routes) {
    const match = route.binding.path.expression.exec(path)
    if (match === null) continue
    allowed.add(route.binding.verb)
    if (route.binding.verb !== verb) continue
    const variables = route.binding.path.variables.map(({ name }, index) => [name, decode(match[index + 1] ?? '')])
    return { route, variables: Object.fromEntries(variables) as Record<string, string> }
  }
  return { allowed: [...allowed].sort() }
}

/** What is not properly encoded stays as it is; its rule refuses it where it matters. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function contextOf(request: Request, url: URL, method: DescMethod, visitor: Visitor, ended: AbortSignal, ending: AbortSignal) {
  return createHandlerContext({
    service: method.parent,
    method,
    protocolName: 'rest',
    requestMethod: request.method ?? 'GET',
    url: url.href,
    requestHeader: headersOf(request),
    requestSignal: ended,
    shutdownSignal: ending,
    contextValues: valuesOf(visitor),
  })
}

function headersOf(request: Request): Headers {
  const headers = new Headers()
  for (const [name, value] of Object.entries(request.headers)) {
    if (name.startsWith(':') || value === undefined) continue
    headers.set(name, Array.isArray(value) ? value.join(', ') : value)
  }
  return headers
}

/** Calls the method inside the guard. */
async function callGuarded(guard: Guard, work: Work, context: HandlerContext, message: Message): Promise<UnaryResponse | StreamResponse> {
  const { method, service, requestMethod, url, signal, requestHeader, values } = context
  const answer = { service, method, header: context.responseHeader, trailer: context.responseTrailer }
  const next = guard.interceptor(async (request) => {
    const given = { ...context, signal: request.signal, values: request.contextValues }
    if (!request.stream)
      return {
        ...answer,
        stream: false,
        message: create(method.output, (await work(request.message, given)) as Record<string, unknown>),
      } as UnaryResponse
    const messages = streamOf(request.message, (only) => work(only, given) as AsyncIterable<Record<string, unknown>>, method.output)
    return { ...answer, stream: true, message: messages } as StreamResponse
  })
  const common = { requestMethod, url, signal, header: requestHeader, service, method, contextValues: values }
  if (method.methodKind === 'unary') return next({ ...common, stream: false, message } as UnaryRequest)
  return next({ ...common, stream: true, message: Readable.from([message]) } as unknown as StreamRequest)
}

async function* streamOf(
  requests: AsyncIterable<Message>,
  work: (request: Message) => AsyncIterable<Record<string, unknown>>,
  output: DescMessage,
): AsyncGenerator<Message> {
  for await (const request of requests) for await (const message of work(request)) yield create(output, message)
}
