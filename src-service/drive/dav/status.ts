import { CloudError, type ErrorKind } from '../../common/errors.ts'

/** The client repeats what is answered 429 or 5xx, for minutes; 424 it passes on at once, as an I/O error. */
const once = 424

const statuses: Partial<Record<ErrorKind, number>> = {
  'not-found': 404,
  'not-a-folder': 409,
  'not-empty': 409,
  exists: 412,
  conflict: 412,
  'is-a-folder': 405,
  'read-only': 403,
  permission: 403,
  access: 403,
  busy: 423,
  'no-space': 507,
  quota: 507,
  'too-large': 413,
  'name-invalid': 400,
  'name-too-long': 400,
  invalid: 400,
  stale: 503,
}

export function statusOf(caught: unknown): number {
  return statuses[CloudError.from(caught).kind] ?? once
}
