import { CloudError } from '../errors.ts'

/**
 * Text fields that a log may show. Everything else that is text becomes `[hidden]`, so that a new field with a secret in
 * it cannot slip through; numbers and booleans pass. Add a name here only if its values can never hold a secret.
 */
const shown: ReadonlySet<string> = new Set([
  'action',
  'bucket',
  'code',
  'condition',
  'database',
  'detail',
  'endpoint',
  'errno',
  'error',
  'event',
  'from',
  'hint',
  'host',
  'kind',
  'level',
  'message',
  'method',
  'mountId',
  'name',
  'operation',
  'path',
  'phase',
  'principal',
  'program',
  'providerId',
  'reason',
  'region',
  'requestId',
  'result',
  'role',
  'signal',
  'socket',
  'state',
  'to',
  'type',
  'url',
  'version',
  'workerId',
])

const maxText = 2000
const maxItems = 50
const maxDepth = 4

/** A copy of the fields that is safe to write to a log. */
export function safeFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return safeObject(fields, 0)
}

function safeObject(object: object, depth: number): Record<string, unknown> {
  const safe: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(object).slice(0, maxItems)) safe[key] = safeValue(key, value, depth)
  return safe
}

function safeValue(key: string, value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'number':
    case 'boolean':
    case 'undefined':
      return value
    case 'bigint':
      return value.toString()
    case 'string':
      return shown.has(key) ? safeText(value) : '[hidden]'
    case 'object':
      if (value === null) return null
      if (value instanceof Error) return safeError(value, depth)
      if (depth >= maxDepth || ArrayBuffer.isView(value)) return '[hidden]'
      if (Array.isArray(value)) return value.slice(0, maxItems).map((item: unknown) => safeValue(key, item, depth + 1))
      if (isPlain(value)) return safeObject(value, depth + 1)
      return '[hidden]'
    default:
      return '[hidden]'
  }
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** Kind, code and message, and those of the errors below it; the stack only of faults of our own. */
function safeError(caught: Error, depth: number): Record<string, unknown> {
  const error = CloudError.from(caught)
  const safe: Record<string, unknown> = { kind: error.kind, message: safeText(error.message) }
  if (error.code !== undefined) safe['code'] = safeText(error.code)
  if (error.hint !== undefined) safe['hint'] = safeText(error.hint)
  if (error.kind === 'internal' && caught.stack !== undefined) safe['stack'] = safeText(caught.stack)
  if (caught instanceof CloudError && caught.cause instanceof Error && depth < maxDepth) safe['cause'] = safeError(caught.cause, depth + 1)
  return safe
}

const userInfo = /([a-z][a-z0-9+.-]*:\/\/)[^\s/?#@]*@/gi
const query = /([a-z][a-z0-9+.-]*:\/\/[^\s?#]*)\?[^\s#"']*/gi
const headers = /\b((?:proxy-)?authorization|(?:set-)?cookie|x-amz-security-token)(["']?\s*[:=]\s*).*/gi

/** Text without the secrets that URLs and headers carry (user info, query, authorization), at most 2,000 characters. */
export function safeText(text: string): string {
  const clean = text.replace(userInfo, '$1[hidden]@').replace(query, '$1?[hidden]').replace(headers, '$1$2[hidden]')
  return clean.length <= maxText ? clean : `${clean.slice(0, maxText)}…`
}
