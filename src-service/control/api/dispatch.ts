import type { ConnectRouter } from '@connectrpc/connect'
import { CloudError } from '../../common/errors.ts'
import type { Log } from '../../common/telemetry/log.ts'
import { unknownVisitor } from './call.ts'
import type { Visitor } from './call.ts'
import { connectRoutes } from './connect-routes.ts'
import type { Request, Response } from './connections.ts'
import type { ContentsGateway } from './contents/contents-gateway.ts'
import { readContentsPath } from './contents/contents-path.ts'
import type { Guard } from './guard-calls.ts'
import { servePlain } from './plain-routes.ts'
import type { PlainRoute } from './plain-routes.ts'
import { failRoute, refuseRoute, valuesOf } from './rest/refuse-route.ts'
import { createRestGateway } from './rest/rest-gateway.ts'
import type { RestService } from './rest/rest-gateway.ts'

const maxRequestBytes = 4 * 1024 * 1024
const maxAnswerBytes = 32 * 1024 * 1024

interface DispatcherOptions {
  readonly log: Log
  readonly services: readonly (RestService & { readonly add: (router: ConnectRouter) => unknown })[]
  /** By path. */
  readonly plain: ReadonlyMap<string, PlainRoute>
  readonly contents: ContentsGateway
  readonly guard: Guard
  /** Aborted with the error that every call at work then ends with. */
  readonly ending: AbortSignal
}

type Dispatcher = (request: Request, response: Response, visitor: Visitor) => void

/** Hands each request to the protocol that it speaks. */
export function createDispatcher({ log, services, plain, contents, guard, ending }: DispatcherOptions): Dispatcher {
  const visitors = new WeakMap<object, Visitor>()
  const visitorOf = (request: object) => visitors.get(request) ?? unknownVisitor
  const rest = createRestGateway({ services, guard, log, maxRequestBytes, ending })
  const calls = connectRoutes({
    log,
    routes: (router) => services.forEach(({ add }) => add(router)),
    fallback: (request, response) => refuseRoute(guard, request, response, visitorOf(request), []),
    requestGate: guard.gate,
    interceptors: [guard.interceptor],
    readMaxBytes: maxRequestBytes,
    writeMaxBytes: maxAnswerBytes,
    shutdownSignal: ending,
    contextValues: (request) => valuesOf(visitorOf(request)),
  })
  return (request, response, visitor) => {
    visitors.set(request, visitor)
    const path = (request.url ?? '').split('?', 1)[0] ?? ''
    const route = plain.get(path)
    const target = readContentsPath(path)
    if (route !== undefined) void servePlain(route, guard, request, response, visitor)
    else if (target !== null) contents(request, response, visitor, target)
    else if (path.startsWith('/api/')) rest(request, response, visitor)
    else {
      try {
        calls(request, response)
      } catch (caught) {
        // Nothing that a client sends may end the service, such as a request without a host.
        failRoute(guard, request, response, visitor, new CloudError('invalid', 'the request cannot be read', { cause: caught }))
      }
    }
  }
}
