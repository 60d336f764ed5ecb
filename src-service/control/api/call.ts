import { createContextKey } from '@connectrpc/connect'
import type { ContextValues } from '@connectrpc/connect'
import { CloudError } from '../../common/errors.ts'
import type { Sight } from '../users/grants.ts'
import type { Principal } from '../users/principal.ts'

/** Who calls; null until a listener has said so. */
export const principalKey = createContextKey<Principal | null>(null, { description: 'principal' })

/** What the caller sees; null until the guard has let the call in. */
export const sightKey = createContextKey<Sight | null>(null, { description: 'sight' })

/** What a `filtered` method answers with holds only what this sees. */
export function sightOf(context: { readonly values: ContextValues }): Sight {
  return context.values.get(sightKey) ?? nobody()
}

/** Who calls, in a handler. */
export function callerOf(context: { readonly values: ContextValues }): Principal {
  return context.values.get(principalKey) ?? nobody()
}

/** How a request came in. */
export interface Arrival {
  readonly via: 'socket' | 'network'
  /** `socket`, or the address of the other end as trusted proxies tell it. */
  readonly address: string
  /** Nobody on the way could read it. */
  readonly secure: boolean
  /** The secret of the session it came with; '' = none. */
  readonly cookie: string
}

/** Who comes with a request, and how. */
export interface Visitor {
  readonly arrival: Arrival
  /** Null = nobody: only what is open to anyone goes on. */
  readonly principal: Principal | null
}

/** How everything on the unix socket comes. */
export const bySocket: Arrival = { via: 'socket', address: 'socket', secure: true, cookie: '' }

/** Who was not looked at. */
export const unknownVisitor: Visitor = { arrival: { via: 'network', address: '', secure: false, cookie: '' }, principal: null }

export const arrivalKey = createContextKey<Arrival>(bySocket, { description: 'arrival' })

function nobody(): never {
  throw new CloudError('internal', 'a call that did not pass the guard')
}

/** Id of the call; '' until the guard's gate has given one. */
export const correlationKey = createContextKey('', { description: 'correlation id' })

/** The guard has recorded that the call failed. */
export const failedKey = createContextKey(false, { description: 'failed' })

/** Header of requests and answers with the id under which the log has the call. */
export const correlationHeader = 'cloudmoor-correlation-id'
