import { CloudError } from '../../common/errors.ts'
import type { ErrorKind } from '../../common/errors.ts'

/** Linux error numbers that this door answers. */
export const errno = {
  EPERM: 1,
  ENOENT: 2,
  EIO: 5,
  ENXIO: 6,
  EBADF: 9,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENOTTY: 25,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  EMLINK: 31,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ENODATA: 61,
  EPROTO: 71,
  EOPNOTSUPP: 95,
  ENETUNREACH: 101,
  ETIMEDOUT: 110,
  ESTALE: 116,
  EREMOTEIO: 121,
  EDQUOT: 122,
  ECANCELED: 125,
  ENOKEY: 126,
} as const

/**
 * The one table from what went wrong to what a program is told. Rules behind it:
 * - ENOENT only for what is surely absent: the kinds that mean Unknown have numbers of their own.
 * - Never EINTR or EAGAIN (programs retry them in a loop), and never ENOSYS (the kernel takes it for the whole connection and
 *   for some requests counts it as success): operations that want ENOSYS say so in their own row.
 */
export const errnoTable: Readonly<Record<ErrorKind, number>> = {
  'not-found': errno.ENOENT,
  exists: errno.EEXIST,
  'not-empty': errno.ENOTEMPTY,
  'not-a-folder': errno.ENOTDIR,
  'is-a-folder': errno.EISDIR,
  'name-invalid': errno.EINVAL,
  'name-too-long': errno.ENAMETOOLONG,
  'too-many-links': errno.EMLINK,
  stale: errno.ESTALE,
  busy: errno.EBUSY,
  'cross-device': errno.EXDEV,
  permission: errno.EPERM,
  access: errno.EACCES,
  'read-only': errno.EROFS,
  'sign-in': errno.ENOKEY,
  offline: errno.ENETUNREACH,
  timeout: errno.ETIMEDOUT,
  throttled: errno.EBUSY,
  unavailable: errno.EREMOTEIO,
  garbage: errno.EPROTO,
  conflict: errno.EIO,
  'too-large': errno.EFBIG,
  quota: errno.EDQUOT,
  'no-space': errno.ENOSPC,
  damaged: errno.EIO,
  invalid: errno.EINVAL,
  unsupported: errno.EOPNOTSUPP,
  'bad-handle': errno.EBADF,
  'no-attribute': errno.ENODATA,
  range: errno.ERANGE,
  cancelled: errno.ECANCELED,
  io: errno.EIO,
  internal: errno.EIO,
}

/**
 * @param caught anything thrown.
 * @param unsupported what `unsupported` means for this operation.
 */
export function errnoOf(caught: unknown, unsupported: number = errno.EOPNOTSUPP): number {
  const { kind } = CloudError.from(caught)
  return kind === 'unsupported' ? unsupported : errnoTable[kind]
}
