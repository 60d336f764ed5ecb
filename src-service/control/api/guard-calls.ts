import { Code, ConnectError } from '@connectrpc/connect'
import type { Interceptor, StreamRequest, StreamResponse, UnaryRequest, UnaryResponse } from '@connectrpc/connect'
import { CloudError } from '../../common/errors.ts'
import { newId } from '../../common/ids.ts'
import { withCorrelation } from '../../common/telemetry/correlation.ts'
import type { Log } from '../../common/telemetry/log.ts'
import type { Grants } from '../users/grants.ts'
import type { Principal } from '../users/principal.ts'
import { admitCaller, admitRequest } from './admit-call.ts'
import { correlationHeader, principalKey, sightKey } from './call.ts'
import { policyOf } from './policies.ts'
import type { MethodPolicy } from './policies.ts'
import { toWireError } from './wire-errors.ts'

type Request = UnaryRequest | StreamRequest
type Response = UnaryResponse | StreamResponse

export interface GuardParts {
  readonly log: Log
  readonly grants: Grants
  /** Makes sure that the grants know the mounts as they are now. */
  readonly refreshGrants: (signal: AbortSignal) => Promise<void>
  readonly maxStreams: number
}

/**
 * The one place that every call passes: gives it its correlation id, checks caller and request against the method's policy, sets its
 * deadline, counts streams, records it, and makes of whatever fails the error that the client sees. A call ends with the login that
 * it came in with.
 */
export function guardCalls({ log, grants, refreshGrants, maxStreams }: GuardParts): Interceptor {
  let streams = 0

  function admitTo(request: Request, principal: Principal, policy: MethodPolicy): Request {
    const sight = grants.sightOf(principal)
    request.contextValues.set(sightKey, sight)
    if (!request.stream) {
      admitRequest(principal, sight, policy, request.message)
      return request
    }
    const { message } = request
    async function* checked() {
      for await (const each of message) {
        admitRequest(principal, sight, policy, each)
        yield each
      }
    }
    return { ...request, message: checked() }
  }

  return (next) => (request) => {
    const correlationId = readCorrelationId(request.header.get(correlationHeader))
    const method = `${request.service.typeName}.${request.method.name}`
    const policy = policyOf(request.method)
    const started = performance.now()

    function fail(caught: unknown, signal: AbortSignal): never {
      const error = normalise(caught, signal)
      const level = error.kind === 'internal' || error.kind === 'io' || error.kind === 'damaged' ? 'error' : 'info'
      log.write(level, 'call failed', { method, principal: principalName(request), milliseconds: since(started), error })
      const wire = toWireError(error, correlationId)
      wire.metadata.set(correlationHeader, correlationId)
      throw wire
    }

    async function run(): Promise<Response> {
      const principal = request.contextValues.get(principalKey)
      const signal = deadlineOf(policy, request.signal, principal?.ended ?? null)
      try {
        if (principal === null) throw new CloudError('internal', 'a call without a principal')
        admitCaller(principal, policy)
        if (principal.scope.kind !== 'all') await refreshGrants(signal)
        const checked = admitTo(request, principal, policy)
        if (request.stream && streams >= maxStreams) {
          throw new CloudError('unavailable', `more than ${maxStreams} streams are open`, { code: 'TOO_MANY_STREAMS' })
        }
        const response = await orAborted(next({ ...checked, signal }), signal)
        response.header.set(correlationHeader, correlationId)
        if (policy.audit !== 'read')
          log.write('info', 'call done', { method, principal: principalName(request), milliseconds: since(started) })
        if (!response.stream) return response
        streams++
        let open = true
        const over = () => {
          if (open) streams--
          open = false
        }
        // A stream that nobody ever reads from ends with its call.
        signal.addEventListener('abort', over, { once: true })
        return { ...response, message: guardStream(response.message, correlationId, signal, (caught) => fail(caught, signal), over) }
      } catch (caught) {
        return fail(caught, signal)
      }
    }

    return withCorrelation(correlationId, run)
  }
}

function since(started: number): number {
  return Math.round(performance.now() - started)
}

function principalName(request: Request): string {
  return request.contextValues.get(principalKey)?.name ?? 'nobody'
}

/** Takes the client's own id if it is harmless in a log. */
function readCorrelationId(given: string | null): string {
  return given !== null && /^[A-Za-z0-9-]{8,64}$/.test(given) ? given : newId()
}

function deadlineOf(policy: MethodPolicy, client: AbortSignal, login: AbortSignal | null): AbortSignal {
  const limits = [...(login === null ? [] : [login]), ...(policy.deadlineMs === null ? [] : [AbortSignal.timeout(policy.deadlineMs)])]
  return limits.length === 0 ? client : AbortSignal.any([client, ...limits])
}

/** Rejects with the signal's reason as soon as it is aborted, also if the work does not look at it. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = () => reject(CloudError.from(signal.reason))
    if (signal.aborted) aborted()
    signal.addEventListener('abort', aborted, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted))
  })
}

async function* guardStream<T>(
  messages: AsyncIterable<T>,
  correlationId: string,
  signal: AbortSignal,
  fail: (caught: unknown) => never,
  over: () => void,
): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]()
  try {
    for (;;) {
      const step = await orAborted(
        withCorrelation(correlationId, () => iterator.next()),
        signal,
      )
      if (step.done === true) return
      yield step.value
    }
  } catch (caught) {
    fail(caught)
  } finally {
    over()
    // Work that still waits for something does not hold up the end.
    void iterator.return?.().catch(() => {})
  }
}

/** What was caught, as our own error: also what the library threw for a bad message, a deadline or a client that went. */
function normalise(caught: unknown, signal: AbortSignal): CloudError {
  if (caught instanceof CloudError) return caught
  if (signal.aborted) {
    const reason: unknown = signal.reason
    if (reason instanceof CloudError) return reason
    if (reason instanceof ConnectError) return fromLibrary(reason)
    if (reason instanceof Error && reason.name === 'TimeoutError')
      return new CloudError('timeout', 'the call took too long', { cause: caught })
    return new CloudError('cancelled', 'the client ended the call', { cause: caught })
  }
  return caught instanceof ConnectError ? fromLibrary(caught) : CloudError.from(caught)
}

function fromLibrary(error: ConnectError): CloudError {
  switch (error.code) {
    case Code.DeadlineExceeded:
      return new CloudError('timeout', 'the call took too long', { cause: error })
    case Code.Canceled:
    case Code.Aborted:
      return new CloudError('cancelled', 'the client ended the call', { cause: error })
    case Code.InvalidArgument:
      return new CloudError('invalid', error.rawMessage, { cause: error })
    case Code.ResourceExhausted:
      return new CloudError('too-large', error.rawMessage, { cause: error })
    case Code.Unimplemented:
      return new CloudError('unsupported', error.rawMessage, { cause: error })
    case Code.Unavailable:
      return new CloudError('unavailable', error.rawMessage, { cause: error, code: 'SHUTTING_DOWN' })
    default:
      return new CloudError('internal', error.rawMessage, { cause: error })
  }
}
