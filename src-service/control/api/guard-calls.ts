import type { DescMethod, Message } from '@bufbuild/protobuf'
import type { IncomingHttpHeaders } from 'node:http'
import { Code, ConnectError } from '@connectrpc/connect'
import type {
  ContextValues,
  HandlerContext,
  Interceptor,
  StreamRequest,
  StreamResponse,
  UnaryRequest,
  UnaryResponse,
} from '@connectrpc/connect'
import { CloudError } from '../../common/errors.ts'
import { newId } from '../../common/ids.ts'
import { withCorrelation } from '../../common/telemetry/correlation.ts'
import type { Log } from '../../common/telemetry/log.ts'
import type { Grants } from '../users/grants.ts'
import type { Principal } from '../users/principal.ts'
import { admitCaller, admitRequest } from './admit-call.ts'
import type { CallAudit } from './audit-calls.ts'
import { correlationHeader, correlationKey, failedKey, principalKey, sightKey } from './call.ts'
import { checkMessage } from './check-requests.ts'
import type { CallMetrics } from './metrics/call-metrics.ts'
import { policyOf } from './policies.ts'
import type { MethodPolicy } from './policies.ts'
import { reasonOf, toWireError } from './wire-errors.ts'

type Request = UnaryRequest | StreamRequest
type Response = UnaryResponse | StreamResponse

export interface GuardParts {
  readonly log: Log
  readonly grants: Grants
  /** Makes sure that the grants know the mounts as they are now. */
  readonly refreshGrants: (signal: AbortSignal) => Promise<void>
  readonly maxStreams: number
  readonly audit: CallAudit
  readonly calls: CallMetrics
}

/** What every call passes, on whatever way it comes. */
export interface Guard {
  /**
   * Before anything of the body is read: gives the call its correlation id and checks the caller against the method's policy. Also
   * sees to it that a body which cannot be read fails with reason and id like everything else. Throws the error that the client sees.
   */
  readonly gate: (context: HandlerContext) => void
  /** The error that the client of a call sees that failed outside of its method; recorded. @param method null = none was found */
  readonly refuse: (values: ContextValues, method: DescMethod | null, caught: unknown) => ConnectError
  /** Around the work of a route that is no method of the contract: the same checks and records, by a policy of its own. */
  readonly enter: <T>(call: PlainCall, work: (signal: AbortSignal) => Promise<T>) => Promise<T>
  /** Around the method: checks the request against the rules of its fields, sets the deadline, counts streams, records. */
  readonly interceptor: Interceptor
}

/** A call of a route that is no method of the contract. */
export interface PlainCall {
  /** Gets the correlation id. */
  readonly values: ContextValues
  readonly headers: IncomingHttpHeaders
  /** For log, metrics and audit. */
  readonly name: string
  readonly policy: MethodPolicy
  /** What it is about, for the policy and the audit. */
  readonly about: object
  readonly signal: AbortSignal
}

/**
 * The one place that every call passes: gives it its correlation id, checks caller and request against the method's policy and the
 * rules of its fields, sets its deadline, counts streams, records it, and makes of whatever fails the error that the client sees. A
 * call ends with the login that it came in with.
 */
export function createGuard({ log, grants, refreshGrants, maxStreams, calls, audit }: GuardParts): Guard {
  /** @param principal null = nobody, who was let in because the method is open to anyone */
  function admitTo(request: Request, principal: Principal | null, policy: MethodPolicy): Request {
    const sight = principal === null ? null : grants.sightOf(principal)
    request.contextValues.set(sightKey, sight)
    const { input } = request.method
    const check = (message: Message) => {
      if (principal !== null && sight !== null) admitRequest(principal, sight, policy, message)
      checkMessage(input, message)
    }
    if (!request.stream) {
      check(request.message)
      return request
    }
    const { message } = request
    async function* checked() {
      for await (const each of message) {
        check(each)
        yield each
      }
    }
    return { ...request, message: checked() }
  }

  function record(values: ContextValues, name: string | null, started: number, error: CloudError): void {
    values.set(failedKey, true)
    calls.count(name ?? 'none', reasonOf(error), performance.now() - started)
    const level = error.kind === 'internal' || error.kind === 'io' || error.kind === 'damaged' ? 'error' : 'info'
    const fields = {
      ...(name === null ? {} : { method: name }),
      principal: principalName(values),
      milliseconds: since(started),
      error,
    }
    withCorrelation(values.get(correlationKey), () => log.write(level, 'call failed', fields))
  }

  /** Counts a stream until the result is called or `signal` is aborted; then calls `letGo`. Throws `unavailable` (TOO_MANY_STREAMS). */
  function openStream(signal: AbortSignal, letGo: () => void): () => void {
    if (calls.openStreams >= maxStreams) {
      throw new CloudError('unavailable', `more than ${maxStreams} streams are open`, { code: 'TOO_MANY_STREAMS' })
    }
    calls.openStreams++
    let open = true
    const over = () => {
      if (open) calls.openStreams--
      open = false
      letGo()
    }
    // A stream that nobody ever reads from ends with its call.
    signal.addEventListener('abort', over, { once: true })
    return over
  }

  function gate({ values, method, signal, requestHeader }: HandlerContext): void {
    const started = performance.now()
    const correlationId = readCorrelationId(requestHeader.get(correlationHeader))
    values.set(correlationKey, correlationId)
    // The library aborts the call with the error that it is about to send.
    signal.addEventListener('abort', () => {
      const reason: unknown = signal.reason
      if (!(reason instanceof ConnectError) || values.get(failedKey) || isEnd(reason)) return
      // A message that cannot be read is the client's fault, not ours.
      if (reason.rawMessage.startsWith('parse binary')) Object.assign(reason, { code: Code.InvalidArgument })
      record(values, nameOf(method), started, withoutContents(fromLibrary(reason)))
      reason.details.push(...toWireError(fromLibrary(reason), correlationId).details)
      reason.metadata.set(correlationHeader, correlationId)
    })
    try {
      admitCaller(values.get(principalKey), policyOf(method))
    } catch (caught) {
      throw refuse(values, method, caught)
    }
  }

  function refuse(values: ContextValues, method: DescMethod | null, caught: unknown): ConnectError {
    const error = caught instanceof ConnectError ? fromLibrary(caught) : CloudError.from(caught)
    record(values, method === null ? null : nameOf(method), performance.now(), error)
    audit.refused(values, method === null ? 'request' : nameOf(method), error)
    return describe(error, values.get(correlationKey))
  }

  async function enter<T>({ values, headers, name, policy, about, signal: client }: PlainCall, work: (signal: AbortSignal) => Promise<T>) {
    const correlationId = readCorrelationId(headers[correlationHeader])
    values.set(correlationKey, correlationId)
    const started = performance.now()
    const principal = values.get(principalKey)
    const { signal, letGo } = limitsOf(policy, client, principal?.ended ?? null)
    async function run(): Promise<T> {
      try {
        admitCaller(principal, policy)
        if (principal === null) throw new CloudError('internal', 'a call without a principal')
        if (principal.scope.kind !== 'all') await refreshGrants(signal)
        admitRequest(principal, grants.sightOf(principal), policy, about)
        await audit.begin(values, name, policy, about)
        const result = await work(signal)
        await audit.end(values, name, policy, about, null)
        calls.count(name, 'OK', performance.now() - started)
        return result
      } catch (caught) {
        const error = normalise(caught, signal)
        await audit.end(values, name, policy, about, error)
        record(values, name, started, error)
        throw describe(error, correlationId)
      } finally {
        letGo()
      }
    }
    return withCorrelation(correlationId, run)
  }

  const interceptor: Interceptor = (next) => (request) => {
    const values = request.contextValues
    if (values.get(correlationKey) === '') values.set(correlationKey, readCorrelationId(request.header.get(correlationHeader)))
    const correlationId = values.get(correlationKey)
    const policy = policyOf(request.method)
    const started = performance.now()

    function fail(caught: unknown, signal: AbortSignal): never {
      const error = normalise(caught, signal)
      record(values, nameOf(request.method), started, error)
      throw describe(error, correlationId)
    }

    function failStream(caught: unknown, signal: AbortSignal): never {
      audit.refused(values, nameOf(request.method), normalise(caught, signal))
      return fail(caught, signal)
    }

    async function failUnary(caught: unknown, signal: AbortSignal): Promise<never> {
      const error = normalise(caught, signal)
      const message = request.stream ? null : request.message
      await audit.end(values, nameOf(request.method), policy, message, error)
      return fail(error, signal)
    }

    async function run(): Promise<Response> {
      const principal = request.contextValues.get(principalKey)
      const { signal, letGo } = limitsOf(policy, request.signal, principal?.ended ?? null)
      let over = letGo
      try {
        if (principal !== null && principal.scope.kind !== 'all') await refreshGrants(signal)
        const checked = admitTo(request, principal, policy)
        if (request.stream) over = openStream(signal, letGo)
        if (!request.stream) await audit.begin(values, nameOf(request.method), policy, request.message)
        const response = await orAborted(next({ ...checked, signal }), signal)
        if (!request.stream) await audit.end(values, nameOf(request.method), policy, request.message, null)
        response.header.set(correlationHeader, correlationId)
        calls.count(nameOf(request.method), 'OK', performance.now() - started)
        if (policy.audit !== 'read')
          log.write('info', 'call done', { method: nameOf(request.method), principal: principalName(values), milliseconds: since(started) })
        if (!response.stream) {
          letGo()
          return response
        }
        return { ...response, message: guardStream(response.message, correlationId, signal, (caught) => failStream(caught, signal), over) }
      } catch (caught) {
        over()
        return failUnary(caught, signal)
      }
    }

    return withCorrelation(correlationId, run)
  }

  return { gate, refuse, enter, interceptor }
}

function describe(error: CloudError, correlationId: string): ConnectError {
  const wire = toWireError(error, correlationId)
  wire.metadata.set(correlationHeader, correlationId)
  return wire
}

/** The client went, or its time is over: nothing that needs an explanation. */
function isEnd(error: ConnectError): boolean {
  return error.code === Code.DeadlineExceeded || fromLibrary(error).kind === 'cancelled'
}

/** What could not be read may hold a secret. */
function withoutContents(error: CloudError): CloudError {
  return error.kind === 'invalid' ? new CloudError('invalid', 'the request cannot be read') : error
}

function nameOf(method: DescMethod): string {
  return `${method.parent.typeName}.${method.name}`
}

function since(started: number): number {
  return Math.round(performance.now() - started)
}

function principalName(values: ContextValues): string {
  return values.get(principalKey)?.name ?? 'nobody'
}

/** Takes the client's own id if it is harmless in a log. */
export function readCorrelationId(given: string | string[] | null | undefined): string {
  return typeof given === 'string' && /^[A-Za-z0-9-]{8,64}$/.test(given) ? given : newId()
}

/** What a call may take: it ends with its client, its login or its deadline, whichever is first. */
interface Limits {
  readonly signal: AbortSignal
  /** To be called at the end: timer and login would keep what belongs to the call for as long as they last. */
  readonly letGo: () => void
}

function limitsOf(policy: MethodPolicy, client: AbortSignal, login: AbortSignal | null): Limits {
  const controller = new AbortController()
  const sources = login === null ? [client] : [client, login]
  const late = () => controller.abort(new CloudError('timeout', 'the call took too long'))
  const timer = policy.deadlineMs === null ? undefined : setTimeout(late, policy.deadlineMs)
  const end = ({ target }: Event) => {
    if (target instanceof AbortSignal) controller.abort(target.reason)
  }
  for (const source of sources) {
    if (source.aborted) controller.abort(source.reason)
    else source.addEventListener('abort', end, { once: true })
  }
  const letGo = () => {
    clearTimeout(timer)
    for (const source of sources) source.removeEventListener('abort', end)
  }
  controller.signal.addEventListener('abort', letGo, { once: true })
  if (controller.signal.aborted) letGo()
  return { signal: controller.signal, letGo }
}

/** Rejects with the signal's reason as soon as it is aborted, also if the work does not look at it. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    // A client that went is told of as the library tells it.
    const aborted = () => {
      const reason: unknown = signal.reason
      reject(reason instanceof ConnectError ? fromLibrary(reason) : CloudError.from(reason))
    }
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
    return new CloudError('cancelled', 'the client ended the call', { cause: caught })
  }
  return caught instanceof ConnectError ? fromLibrary(caught) : CloudError.from(caught)
}

/** What the library calls internal, though the client sent what cannot be read. */
const unreadable = ['parse binary', 'received compressed envelope', 'received parsed JSON request body', 'protocol error']

/** Whatever number the client, or its spoilt frames, ended the stream with. */
const ended = 'http/2 stream closed'

function fromLibrary(error: ConnectError): CloudError {
  if (error.rawMessage.startsWith(ended)) return new CloudError('cancelled', 'the client ended the call', { cause: error })
  if (unreadable.some((begin) => error.rawMessage.startsWith(begin)))
    return new CloudError('invalid', 'the request cannot be read', { cause: error })
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
