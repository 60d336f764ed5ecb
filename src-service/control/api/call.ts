import { createContextKey } from '@connectrpc/connect'
import type { Principal } from '../users/principal.ts'

/** Who calls; null until a listener has said so. */
export const principalKey = createContextKey<Principal | null>(null, { description: 'principal' })

/** Header of requests and answers with the id under which the log has the call. */
export const correlationHeader = 'cloudmoor-correlation-id'
