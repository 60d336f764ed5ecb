import { Code, ConnectError, createConnectRouter } from '@connectrpc/connect'
import type { ConnectRouter, ConnectRouterOptions, ContextValues } from '@connectrpc/connect'
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node'
import { CloudError } from '../../common/errors.ts'
import type { Log } from '../../common/telemetry/log.ts'
import type { Request, Response } from './connections.ts'

interface RouteOptions extends ConnectRouterOptions {
  readonly routes: (router: ConnectRouter) => void
  readonly contextValues: (request: Request) => ContextValues
  /** Answers where no method is. */
  readonly fallback: (request: Request, response: Response) => void
  readonly log: Log
}

/** As connectNodeAdapter of @connectrpc/connect-node, which prints to stderr whenever a client goes while it is answered. */
export function connectRoutes(options: RouteOptions): (request: Request, response: Response) => void {
  const { routes, contextValues, fallback, log, ...more } = options
  const router = createConnectRouter({ acceptCompression: [compressionGzip, compressionBrotli], ...more })
  routes(router)
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]))
  return (request, response) => {
    const handler = handlers.get((request.url ?? '').split('?', 1)[0] ?? '')
    if (handler === undefined) {
      fallback(request, response)
      return
    }
    handler(universalRequestFromNodeRequest(request, response, undefined, contextValues(request)))
      .then((answer) => universalResponseToNodeResponse(answer, response))
      .catch((caught: unknown) => {
        if (ConnectError.from(caught).code === Code.Aborted) return
        log.write(isGone(response) ? 'debug' : 'error', `the answer to ${handler.method.name} was not written`, {
          error: CloudError.from(caught),
        })
      })
  }
}

function isGone(response: Response): boolean {
  return 'stream' in response ? response.stream.destroyed : response.destroyed
}
