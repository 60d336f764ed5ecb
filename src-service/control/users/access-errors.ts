import { CloudError } from '../../common/errors.ts'

/** `CloudError.code` of what goes wrong with logins and rights; each is an ErrorReason of the contract. */
export type AccessReason = 'LOGIN_NEEDED' | 'LOGIN_THROTTLED' | 'FOREIGN_HOST' | 'FOREIGN_ORIGIN' | 'AUDIT_UNAVAILABLE' | 'PATH_NOT_ALLOWED'

/** Says the same whatever was wrong with a name, password, token or code, so that nothing can be learnt by trying. */
export function loginNeeded(message = 'a login is needed: it is missing, wrong, over or revoked'): CloudError {
  return new CloudError('permission', message, { code: 'LOGIN_NEEDED' satisfies AccessReason })
}
