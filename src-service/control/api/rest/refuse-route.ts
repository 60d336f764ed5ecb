import { createContextValues } from '@connectrpc/connect'
import type { ContextValues } from '@connectrpc/connect'
import { CloudError } from '../../../common/errors.ts'
import { arrivalKey, correlationHeader, correlationKey, principalKey } from '../call.ts'
import type { Visitor } from '../call.ts'
import { readCorrelationId } from '../guard-calls.ts'
import type { Guard } from '../guard-calls.ts'
import type { Request, Response } from '../connections.ts'
import { writeError } from './write-answer.ts'

/** Answers that there is no such route, or that it takes other HTTP methods. */
export function refuseRoute(guard: Guard, request: Request, response: Response, visitor: Visitor, allowed: readonly string[]): void {
  const error =
    allowed.length === 0
      ? new CloudError('not-found', 'there is no such route; /openapi.json has them all')
      : new CloudError('unsupported', `this route takes ${allowed.join(', ')}`)
  failRoute(guard, request, response, visitor, error, allowed)
}

/** Answers with an error of a route that is no method of the contract. */
export function failRoute(
  guard: Guard,
  request: Request,
  response: Response,
  visitor: Visitor,
  error: CloudError,
  allowed: readonly string[] = [],
): void {
  const values = valuesOf(visitor)
  values.set(correlationKey, readCorrelationId(request.headers[correlationHeader]))
  const wire = guard.refuse(values, null, error)
  if (allowed.length > 0) wire.metadata.set('allow', allowed.join(', '))
  if (response.headersSent) response.destroy()
  else writeError(response, wire, values.get(correlationKey), request.headers['if-match'] !== undefined)
}

/** What handlers and guard are told of who calls. */
export function valuesOf({ principal, arrival }: Visitor): ContextValues {
  return createContextValues().set(principalKey, principal).set(arrivalKey, arrival)
}
