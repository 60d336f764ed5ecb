import { Code, ConnectError } from '@connectrpc/connect'
import { ErrorInfoSchema, RequestInfoSchema, RetryInfoSchema } from '../gen/google/rpc/error_details_pb.js'

/** What a failed call tells. */
export interface ServiceError {
  /** gRPC status name, `NotFound`. */
  readonly status: string
  /** Name of an ErrorReason of the contract; `NO_SERVICE` if nobody answers on the socket; '' if the answer has none. */
  readonly reason: string
  /** English, for logs and scripts. */
  readonly message: string
  /** What to do; '' = not known. */
  readonly hint: string
  /** The provider's own error code or an errno name; ''. */
  readonly providerCode: string
  /** Leads to the lines in the service's log; ''. */
  readonly correlationId: string
  /** When to try again, milliseconds; null = not known. */
  readonly retryAfterMs: number | null
}

/** Reads anything that a call of the client threw. */
export function readError(caught: unknown): ServiceError {
  const error = ConnectError.from(caught)
  const [info] = error.findDetails(ErrorInfoSchema)
  const [request] = error.findDetails(RequestInfoSchema)
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay
  return {
    status: Code[error.code],
    reason: info?.reason ?? (isNobodyThere(error) ? 'NO_SERVICE' : ''),
    message: error.rawMessage,
    hint: info?.metadata['hint'] ?? '',
    providerCode: info?.metadata['code'] ?? '',
    correlationId: request?.requestId ?? '',
    retryAfterMs: delay === undefined ? null : Number(delay.seconds) * 1000 + Math.round(delay.nanos / 1_000_000),
  }
}

function isNobodyThere(error: ConnectError): boolean {
  for (let cause: unknown = error.cause; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && (cause.code === 'ENOENT' || cause.code === 'ECONNREFUSED')) return true
  }
  return false
}
