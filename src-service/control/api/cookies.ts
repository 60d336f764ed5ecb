/** Name of the session's cookie. Under TLS browsers let no other host and no plain HTTP set it. */
export function cookieName(instance: string, secure: boolean): string {
  return secure ? `__Host-cm_${instance}` : `cm_${instance}`
}

/** Value of a Set-Cookie header. @param value '' = forget it */
export function cookieLine(instance: string, secure: boolean, value: string): string {
  const end = value === '' ? '; Max-Age=0' : ''
  return `${cookieName(instance, secure)}=${value}; Path=/; HttpOnly; SameSite=Strict${secure ? '; Secure' : ''}${end}`
}

/** The session's secret out of a Cookie header; '' = none. */
export function readCookie(header: string | undefined, instance: string, secure: boolean): string {
  const name = cookieName(instance, secure)
  const found = (header ?? '').split(';').map((pair) => pair.trim().split('=', 2))
  return found.find(([key]) => key === name)?.[1] ?? ''
}
