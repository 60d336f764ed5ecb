import { getOption, hasOption } from '@bufbuild/protobuf'
import type { DescField, DescMessage, DescMethod } from '@bufbuild/protobuf'
import { http } from '../gen/google/api/annotations_pb.js'
import type { HttpRule } from '../gen/google/api/http_pb.js'
import { fieldSchema, isTextual, messageSchema, objectSchema, ruleOf, withoutKeywords } from './json-schema.ts'
import type { Components, Schema } from './json-schema.ts'
import { readTemplate } from './path-template.ts'
import type { PathTemplate } from './path-template.ts'

/** One way to call a method over plain HTTP. */
export interface HttpBinding {
  /** `MountService_GetMount`, with `_2` and so on for additional bindings. */
  readonly id: string
  readonly method: DescMethod
  readonly verb: string
  readonly path: PathTemplate
  /** What the body is: nothing, the request, or one field of it. */
  readonly body: 'none' | 'whole' | DescField
  /** What the answer is; null = the whole response. */
  readonly answer: DescField | null
  readonly query: readonly QueryField[]
}

export interface QueryField {
  /** `pageSize`, `filter.name`. */
  readonly name: string
  readonly fields: readonly DescField[]
}

const maxQueryDepth = 3

/** Every binding of a method; none = it has no rule. Throws `Error` for a rule that does not fit its request. */
export function bindingsOf(method: DescMethod): HttpBinding[] {
  if (!hasOption(method, http)) return []
  const rule = getOption(method, http)
  return [rule, ...rule.additionalBindings].map((each, index) => readRule(method, each, index))
}

function readRule(method: DescMethod, rule: HttpRule, index: number): HttpBinding {
  const [verb, template] = patternOf(rule)
  const path = readTemplate(template)
  for (const { field } of path.variables) fieldAt(method.input, field)
  const body = rule.body === '' ? 'none' : rule.body === '*' ? 'whole' : topField(method.input, rule.body)
  const bound = [...path.variables.map(({ field }) => field), ...(typeof body === 'string' ? [] : [body.name])]
  return {
    id: `${method.parent.name}_${method.name}${index === 0 ? '' : `_${index + 1}`}`,
    method,
    verb,
    path,
    body,
    answer: rule.responseBody === '' ? null : topField(method.output, rule.responseBody),
    query: body === 'whole' ? [] : queryFields(method.input, bound, []),
  }
}

function patternOf({ pattern }: HttpRule): [verb: string, template: string] {
  if (pattern.case === undefined) throw new Error('an HTTP rule without a path')
  if (pattern.case === 'custom') return [pattern.value.kind, pattern.value.path]
  return [pattern.case.toUpperCase(), pattern.value]
}

/** The fields on the way to `mount.id`. Throws `Error` if there is no such field. */
export function fieldAt(message: DescMessage, path: string): DescField[] {
  const [first = '', ...rest] = path.split('.')
  const field = topField(message, first)
  if (rest.length === 0) return [field]
  if (field.fieldKind !== 'message') throw new Error(`${message.typeName}.${path} is no field`)
  return [field, ...fieldAt(field.message, rest.join('.'))]
}

function topField(message: DescMessage, name: string): DescField {
  const field = message.fields.find((candidate) => candidate.name === name)
  if (field === undefined) throw new Error(`${message.typeName} has no field ${name}`)
  return field
}

/** What neither path nor body binds and a query can carry: scalars, enums, texts and lists of them, at most three messages deep. */
function queryFields(message: DescMessage, bound: readonly string[], above: readonly DescField[]): QueryField[] {
  const prefix = above.map((field) => field.name)
  return message.fields.flatMap((field) => {
    const fields = [...above, field]
    if (bound.includes([...prefix, field.name].join('.'))) return []
    if (isSimple(field)) return [{ name: fields.map(({ jsonName }) => jsonName).join('.'), fields }]
    if (field.fieldKind !== 'message' || field.message.typeName.startsWith('google.protobuf.') || fields.length > maxQueryDepth) return []
    return queryFields(field.message, bound, fields)
  })
}

function isSimple(field: DescField): boolean {
  if (field.fieldKind === 'list') return field.listKind !== 'message'
  return field.fieldKind === 'scalar' || field.fieldKind === 'enum' || (field.fieldKind === 'message' && isTextual(field.message))
}

/** Schema of a binding's body; null = it has none. */
export function bodySchema({ body, method, path }: HttpBinding, components: Components): Schema | null {
  if (body === 'none') return null
  if (body !== 'whole') return fieldSchema(body, components)
  const bound = path.variables.map(({ field }) => fieldAt(method.input, field)[0]?.jsonName ?? '').filter((_, index) => isTop(path, index))
  return bound.length === 0 ? messageSchema(method.input, components) : objectSchema(method.input, components, bound)
}

/** A call without a body is refused; otherwise an absent body is an empty one. */
export function needsBody({ body, method, path }: HttpBinding): boolean {
  if (body === 'none') return false
  if (body !== 'whole') return ruleOf(body)?.required === true
  const bound = path.variables.map(({ field }) => field)
  return method.input.fields.some((field) => !bound.includes(field.name) && ruleOf(field)?.required === true)
}

function isTop(path: PathTemplate, index: number): boolean {
  return path.variables[index]?.field.includes('.') === false
}

/** Schema of a variable of the path: as its field has it, and never empty unless it is the rest of the path. */
export function variableSchema(method: DescMethod, field: string, deep: boolean, components: Components): Schema {
  const last = fieldAt(method.input, field).at(-1)
  if (last === undefined) throw new Error(`${field} is no field`)
  const schema = fieldSchema(last, components)
  return deep || schema['type'] !== 'string' ? schema : { minLength: 1, ...schema }
}

/** Schema of all query parameters together, each already of its JSON type. */
export function querySchema(query: readonly QueryField[], components: Components): Schema {
  const properties = Object.fromEntries(query.map((entry) => [entry.name, queryFieldSchema(entry, components)]))
  const required = query.filter(isRequired).map(({ name }) => name)
  return { type: 'object', properties, ...(required.length === 0 ? {} : { required }), additionalProperties: false }
}

export function queryFieldSchema({ fields }: QueryField, components: Components): Schema {
  const last = fields.at(-1)
  if (last === undefined) throw new Error('a query parameter without a field')
  const schema = withoutKeywords(fieldSchema(last, components), 'readOnly')
  // What stands in a URL is text.
  return Array.isArray(schema['type']) ? { ...schema, type: 'string' } : schema
}

/** The parameter must be there. */
export function isRequired({ fields }: QueryField): boolean {
  const [field] = fields
  return fields.length === 1 && field !== undefined && ruleOf(field)?.required === true
}
