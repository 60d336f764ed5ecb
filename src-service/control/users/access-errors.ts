/** `CloudError.code` of what goes wrong with logins and rights; each is an ErrorReason of the contract. */
export type AccessReason = 'LOGIN_NEEDED' | 'LOGIN_THROTTLED' | 'AUDIT_UNAVAILABLE' | 'PATH_NOT_ALLOWED'
