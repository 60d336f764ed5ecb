import openApiDocument from '../../../proto/gen/openapi.json' with { type: 'json' }
import type { Principal } from '../users/principal.ts'
import type { Request, Response } from './listener.ts'
import { begin, plainHeaders, writeJson } from './rest/write-answer.ts'

/** A path that is no method of the contract. */
export interface PlainRoute {
  readonly verbs: readonly string[]
  /** Works without a login, so it tells nothing that anybody may not know. */
  readonly open: boolean
  readonly serve: (request: Request, response: Response, principal: Principal | null) => void
}

/** By path. */
export function plainRoutes(): ReadonlyMap<string, PlainRoute> {
  const document = Buffer.from(JSON.stringify(openApiDocument))
  return new Map<string, PlainRoute>([
    ['/api/v1/health', { verbs: ['GET'], open: true, serve: (_, response) => writeJson(response, 200, { status: 'ok' }) }],
    ['/readyz', { verbs: ['GET'], open: true, serve: (_, response) => writeJson(response, 200, { status: 'ready' }) }],
    [
      '/openapi.json',
      {
        verbs: ['GET'],
        open: false,
        serve: (_, response) => {
          begin(response, 200, { 'content-type': 'application/json', 'content-length': String(document.length), ...plainHeaders })
          response.end(document)
        },
      },
    ],
  ])
}
