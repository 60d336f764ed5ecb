import type { ContextValues } from '@connectrpc/connect'
import type { CloudError } from '../../common/errors.ts'
import type { Audit, AuditFact } from '../users/audit.ts'
import { arrivalKey, correlationKey, principalKey } from './call.ts'
import type { MethodPolicy } from './policies.ts'
import { reasonOf } from './wire-errors.ts'

/** What one call leaves in the audit log. */
export interface CallAudit {
  /** Before a change: rejects if it cannot be recorded, and then nothing is done. */
  begin(values: ContextValues, action: string, policy: MethodPolicy, request: object): Promise<void>
  /** After it. @param failure null = it was done */
  end(values: ContextValues, action: string, policy: MethodPolicy, request: object | null, failure: CloudError | null): Promise<void>
  /** Somebody was turned away before anything was done. */
  refused(values: ContextValues, action: string, failure: CloudError): void
}

/** Reasons that mean that somebody was turned away. */
const refusals: ReadonlySet<string> = new Set([
  'PERMISSION',
  'LOGIN_NEEDED',
  'LOGIN_THROTTLED',
  'FOREIGN_HOST',
  'FOREIGN_ORIGIN',
  'PATH_NOT_ALLOWED',
])

/** @param isUser whether somebody has this name: what else is typed where a name belongs may be a password */
export function createCallAudit(audit: Audit, isUser: (name: string) => Promise<boolean>): CallAudit {
  const isRefusal = (error: CloudError) => refusals.has(reasonOf(error))

  /** What a failed call says it is about is kept only if it can be believed. */
  async function subjectOf(
    policy: MethodPolicy,
    request: object | null,
    failure: CloudError | null,
  ): Promise<{ readonly target?: string }> {
    if (failure === null || request === null) return {}
    if (policy.open) return (await isUser(targetOf(request)).catch(() => false)) ? {} : { target: '' }
    return failure.kind === 'invalid' ? { target: '' } : {}
  }

  return {
    begin: async (values, action, policy, request) => {
      // Who is nobody yet fills no log by trying.
      if (policy.audit === 'read' || policy.open) return
      await audit.write(factOf(values, action, policy, request, 'begun'))
    },

    end: async (values, action, policy, request, failure) => {
      // To a narrow grant, what lies outside does not exist.
      const about = await subjectOf(policy, request, failure)
      const outside = failure?.kind === 'not-found' && values.get(principalKey)?.scope.kind !== 'all'
      if (failure !== null && (outside || isRefusal(failure))) {
        audit.refused({ ...factOf(values, action, policy, request, reasonOf(failure)), ...about })
        return
      }
      if (policy.audit === 'read') return
      const fact = { ...factOf(values, action, policy, request, failure === null ? 'ok' : reasonOf(failure)), ...about }
      // A login that is not recorded does not count; what was done already cannot be taken back, and the log tells of the failure.
      if (policy.open && failure === null) await audit.write(fact)
      else await audit.write(fact).catch(() => {})
    },

    refused: (values, action, failure) => {
      if (isRefusal(failure)) audit.refused(factOf(values, action, null, null, reasonOf(failure)))
    },
  }
}

function factOf(values: ContextValues, action: string, policy: MethodPolicy | null, request: object | null, result: string): AuditFact {
  return {
    principal: values.get(principalKey)?.name ?? 'nobody',
    origin: values.get(arrivalKey).address,
    action,
    class: policy?.audit ?? 'read',
    result,
    mountId: request === null ? '' : nameOrNothing(policy?.mountOf?.(request) ?? ''),
    providerId: request === null ? '' : nameOrNothing(policy?.providerOf?.(request) ?? ''),
    target: request === null ? '' : targetOf(request),
    correlationId: values.get(correlationKey),
  }
}

/** Ids, names and paths say what a call is about; nothing else of a request is kept: it may be a secret. */
function targetOf(request: object): string {
  for (const value of [request, ...(Object.values(request) as unknown[])]) {
    if (typeof value !== 'object' || value === null) continue
    for (const field of ['id', 'name', 'slotId']) {
      const text: unknown = Reflect.get(value, field)
      if (typeof text === 'string' && text !== '') return nameOrNothing(text)
    }
    const path: unknown = Reflect.get(value, 'path')
    if (typeof path === 'string' && path !== '') return pathOrNothing(path)
  }
  return ''
}

/** A path below a mount; what no path is so long as is none. */
function pathOrNothing(path: string): string {
  return path.length > 1024 || /\p{Cc}/u.test(path) ? '' : path
}

/** What cannot be the name of anything is not kept: people paste secrets into the wrong field. */
function nameOrNothing(text: string): string {
  return /^[A-Za-z0-9_]([A-Za-z0-9._@+: -]{0,126}[A-Za-z0-9._@+-])?$/.test(text) ? text : ''
}
