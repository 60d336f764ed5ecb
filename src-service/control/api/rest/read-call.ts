import { create, fromJson } from '@bufbuild/protobuf'
import type { DescField, JsonObject, JsonValue, Message } from '@bufbuild/protobuf'
import { FieldMaskSchema } from '@bufbuild/protobuf/wkt'
import { fieldAt, needsBody } from '../../../../proto/openapi/http-binding.ts'
import type { HttpBinding } from '../../../../proto/openapi/http-binding.ts'
import { fieldSchema, noComments, ruleOf } from '../../../../proto/openapi/json-schema.ts'
import { etagField, takesRequestId } from '../../../../proto/openapi/make-openapi.ts'
import { CloudError } from '../../../common/errors.ts'
import { checkBody, checkDepth, checkQuery, checkVariables } from '../check-requests.ts'

/** A call over plain HTTP, as it came. */
export interface RestCall {
  readonly binding: HttpBinding
  /** By name of the variable, decoded. */
  readonly variables: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  readonly headers: Headers
  /** '' = none. */
  readonly body: string
}

/** The request message of a call. Everything is checked against the published schema first. Throws `invalid`, `conflict`. */
export function readCall(call: RestCall): Message {
  const { binding, variables, headers } = call
  checkVariables(binding, variables)
  const query = typedQuery(binding, call.query)
  checkQuery(binding, query)
  const request = bodyOf(binding, call.body)
  for (const { name, fields } of binding.query) if (query[name] !== undefined) put(request, fields, query[name])
  const ifMatch = headers.get('if-match')
  const etag = etagField(binding)
  if (ifMatch !== null && etag !== null) putAt(request, etag, readIfMatch(ifMatch))
  const lastEvent = headers.get('last-event-id')
  if (lastEvent !== null && binding.query.some(({ name }) => name === 'cursor')) request['cursor'] = lastEvent
  const key = headers.get('idempotency-key')
  if (key !== null && takesRequestId(binding.method)) request['requestId'] = key
  const mask = unsaidMask(binding, request)
  for (const { field, name } of binding.path.variables) put(request, fieldAt(binding.method.input, field), variables[name] ?? '')
  try {
    const message = fromJson(binding.method.input, request)
    if (mask !== null) Reflect.set(message, mask.field.localName, create(FieldMaskSchema, { paths: mask.paths }))
    return message
  } catch (caught) {
    throw new CloudError('invalid', 'the request does not fit the contract', { cause: caught })
  }
}

function bodyOf(binding: HttpBinding, body: string): JsonObject {
  if (binding.body === 'none') {
    if (body !== '') throw new CloudError('invalid', 'this call takes no body')
    return {}
  }
  if (body === '' && needsBody(binding)) throw new CloudError('invalid', 'this call needs a body')
  const json = body === '' ? {} : parse(body)
  checkDepth(json)
  checkBody(binding, json)
  return binding.body === 'whole' ? (json as JsonObject) : { [binding.body.jsonName]: json }
}

function parse(body: string): JsonValue {
  try {
    return JSON.parse(body) as JsonValue
  } catch (caught) {
    throw new CloudError('invalid', 'the body is not JSON', { cause: caught })
  }
}

/** Query parameters with the JSON type of their fields; what is no number or boolean stays text, for the schema to refuse. */
function typedQuery({ query }: HttpBinding, given: URLSearchParams): Record<string, JsonValue> {
  const typed: Record<string, JsonValue> = {}
  for (const name of new Set(given.keys())) {
    const last = query.find((entry) => entry.name === name)?.fields.at(-1)
    const values = given.getAll(name)
    if (last?.fieldKind === 'list') typed[name] = values.map((value) => typedValue(last, value))
    else if (values.length > 1) throw new CloudError('invalid', `query.${name.slice(0, 64)} is given more than once`)
    else typed[name] = last === undefined ? (values[0] ?? '') : typedValue(last, values[0] ?? '')
  }
  return typed
}

function typedValue(field: DescField, text: string): JsonValue {
  const schema = fieldSchema(field, { schemas: new Map(), describe: noComments })
  const type: unknown = field.fieldKind === 'list' ? Reflect.get(schema['items'] as object, 'type') : schema['type']
  if (type === 'boolean') return text === 'true' ? true : text === 'false' ? false : text
  if (type === 'integer') return /^-?(0|[1-9]\d{0,15})$/.test(text) ? Number(text) : text
  if (type === 'number') return text !== '' && Number.isFinite(Number(text)) ? Number(text) : text
  return text
}

function put(request: JsonObject, fields: readonly DescField[], value: JsonValue): void {
  putAt(
    request,
    fields.map(({ jsonName }) => jsonName),
    value,
  )
}

function putAt(request: JsonObject, [name = '', ...rest]: readonly string[], value: JsonValue): void {
  if (rest.length === 0) {
    request[name] = value
    return
  }
  const inner = request[name]
  const next = typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? inner : {}
  request[name] = next
  putAt(next, rest, value)
}

/** Our etags are strong and quoted; anything else cannot match. */
function readIfMatch(header: string): string {
  const etag = /^"([^"]+)"$/.exec(header)?.[1]
  if (etag === undefined) throw new CloudError('conflict', 'the etag does not match', { hint: 'Read it again and repeat the change.' })
  return etag
}

/** A PATCH without an update mask changes the fields that its body has; of options each that is named. Null = there is nothing to add. */
function unsaidMask(binding: HttpBinding, request: JsonObject): { readonly field: DescField; readonly paths: string[] } | null {
  const field = binding.method.input.fields.find(({ message }) => message?.typeName === 'google.protobuf.FieldMask')
  if (field === undefined || binding.verb !== 'PATCH' || request[field.jsonName] !== undefined) return null
  return { field, paths: pathsOf(binding, request) }
}

function pathsOf({ method, path }: HttpBinding, request: JsonObject): string[] {
  const resource = method.input.fields.find(({ name }) => path.variables.some(({ field }) => field.startsWith(`${name}.`)))
  const given = resource === undefined ? undefined : request[resource.jsonName]
  if (resource?.message === undefined || typeof given !== 'object' || given === null || Array.isArray(given)) return []
  return resource.message.fields.flatMap((field) => {
    const value = given[field.jsonName]
    if (value === undefined || field.name === 'id' || field.name === 'etag' || ruleOf(field)?.outputOnly === true) return []
    if (field.message?.typeName !== 'google.protobuf.Struct' || typeof value !== 'object' || value === null) return [field.name]
    return Object.keys(value).map((key) => `${field.name}.${key}`)
  })
}
