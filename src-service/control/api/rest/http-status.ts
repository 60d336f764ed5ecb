import { Code } from '@connectrpc/connect'

/**
 * HTTP status of a google.rpc.Code. Where google.api.http says 400 for FAILED_PRECONDITION we say 409: the request is right, the state
 * of things is not.
 */
const statuses: Readonly<Record<Code, number>> = {
  [Code.Canceled]: 499,
  [Code.Unknown]: 500,
  [Code.InvalidArgument]: 400,
  [Code.DeadlineExceeded]: 504,
  [Code.NotFound]: 404,
  [Code.AlreadyExists]: 409,
  [Code.PermissionDenied]: 403,
  [Code.ResourceExhausted]: 429,
  [Code.FailedPrecondition]: 409,
  [Code.Aborted]: 409,
  [Code.OutOfRange]: 400,
  [Code.Unimplemented]: 501,
  [Code.Internal]: 500,
  [Code.Unavailable]: 503,
  [Code.DataLoss]: 500,
  [Code.Unauthenticated]: 401,
}

/** @param conditional the request came with If-Match */
export function httpStatus(code: Code, reason: string, conditional: boolean): number {
  if (reason === 'TOO_LARGE') return 413
  if (reason === 'RANGE_NOT_SATISFIABLE') return 416
  if (reason === 'CONFLICT' && conditional) return 412
  return statuses[code]
}
