import { CloudError, type ErrorKind } from '../errors.ts'
import type { WireError } from './messages.ts'

/** Where an answer by HTTP carries an error, as JSON, percent-encoded. */
export const errorHeader = 'cloudmoor-wire-error'

/** An error as it travels between processes: without cause and stack, which may hold what is not for others. */
export function toWireError(caught: unknown): WireError {
  const error = CloudError.from(caught)
  return {
    kind: error.kind,
    message: error.message,
    ...(error.code === undefined ? {} : { code: error.code }),
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  }
}

/** Both ends are of one version, so the kind is one of ours. */
export function fromWireError(wire: WireError): CloudError {
  return new CloudError(wire.kind as ErrorKind, wire.message, {
    ...(wire.code === undefined ? {} : { code: wire.code }),
    ...(wire.hint === undefined ? {} : { hint: wire.hint }),
  })
}
