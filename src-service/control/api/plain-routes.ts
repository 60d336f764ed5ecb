import openApiDocument from '../../../proto/gen/openapi.json' with { type: 'json' }
import { CloudError } from '../../common/errors.ts'
import { loginNeeded } from '../users/access-errors.ts'
import type { Grants, Sight } from '../users/grants.ts'
import type { Principal } from '../users/principal.ts'
import type { Visitor } from './call.ts'
import type { Request, Response } from './connections.ts'
import { writeFrontPage } from './front-page.ts'
import type { Guard } from './guard-calls.ts'
import { failRoute, refuseRoute } from './rest/refuse-route.ts'
import { begin, plainHeaders, writeJson } from './rest/write-answer.ts'

/** A path that is no method of the contract. */
export interface PlainRoute {
  readonly verbs: readonly string[]
  /** Works without a login, so it tells nothing that anybody may not know. */
  readonly open: boolean
  readonly serve: (request: Request, response: Response, principal: Principal | null) => Promise<void> | void
}

/** By path. */
export function plainRoutes(
  metrics: (sight: Sight) => Promise<{ type: string; text: string }>,
  grants: Grants,
): ReadonlyMap<string, PlainRoute> {
  const document = Buffer.from(JSON.stringify(openApiDocument))
  return new Map<string, PlainRoute>([
    ['/', { verbs: ['GET', 'HEAD'], open: true, serve: (_, response) => writeFrontPage(response) }],
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
    [
      '/metrics',
      {
        verbs: ['GET'],
        open: false,
        serve: async (_, response, principal) => {
          if (principal === null) throw new CloudError('internal', 'a call without a principal')
          const { type, text } = await metrics(grants.sightOf(principal))
          begin(response, 200, { ...plainHeaders, 'content-type': type })
          response.end(text)
        },
      },
    ],
  ])
}

/** Serves what is no method of the contract; what fails is recorded and told like everything else. */
export async function servePlain(route: PlainRoute, guard: Guard, request: Request, response: Response, visitor: Visitor): Promise<void> {
  if (!route.verbs.includes(request.method ?? '')) {
    refuseRoute(guard, request, response, visitor, route.verbs)
    return
  }
  try {
    if (!route.open && visitor.principal === null) throw loginNeeded()
    await route.serve(request, response, visitor.principal)
  } catch (caught) {
    failRoute(guard, request, response, visitor, CloudError.from(caught))
  }
}
