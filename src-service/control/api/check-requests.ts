import { toJson } from '@bufbuild/protobuf'
import type { DescMessage, Message } from '@bufbuild/protobuf'
import type { ErrorObject, ValidateFunction } from 'ajv/dist/2020.js'
import { bodySchema, querySchema, variableSchema } from '../../../proto/openapi/http-binding.ts'
import type { HttpBinding } from '../../../proto/openapi/http-binding.ts'
import { messageSchema, noComments } from '../../../proto/openapi/json-schema.ts'
import type { Components, Schema } from '../../../proto/openapi/json-schema.ts'
import { CloudError } from '../../common/errors.ts'
import { nearestName } from '../../common/nearest-name.ts'
import { ownSchemas } from '../../common/own-schemas.ts'

/** Deeper JSON is refused unread: nothing of ours is, and recursion over it could end the process. */
const maxDepth = 64

/** Throws `invalid` for a message that breaks the rules of its fields (proto/cloudmoor/v1/rules.proto). */
export function checkMessage(desc: DescMessage, message: Message): void {
  if (desc.file.proto.package !== 'cloudmoor.v1') return
  check(
    compiled(desc, (components) => messageSchema(desc, components)),
    jsonOf(desc, message),
    '',
  )
}

/** Throws `invalid` for a body that is not what /openapi.json says. */
export function checkBody(binding: HttpBinding, body: unknown): void {
  const schema = bodySchema(binding, { schemas: new Map(), describe: noComments })
  if (schema === null) throw new CloudError('invalid', 'this call takes no body')
  check(
    compiled(binding, (components) => bodySchema(binding, components) ?? {}),
    body,
    'body',
  )
}

/** Throws `invalid` for query parameters, already of their JSON types, that are not what /openapi.json says. */
export function checkQuery(binding: HttpBinding, query: Readonly<Record<string, unknown>>): void {
  check(
    compiled(binding.query, (components) => querySchema(binding.query, components)),
    query,
    'query',
  )
}

/** Throws `invalid` for variables of the path that are not what /openapi.json says. */
export function checkVariables(binding: HttpBinding, values: Readonly<Record<string, string>>): void {
  check(
    compiled(binding.path, (components) => {
      const { variables } = binding.path
      const properties = variables.map(({ name, field, deep }) => [name, variableSchema(binding.method, field, deep, components)])
      return { type: 'object', properties: Object.fromEntries(properties) as Schema }
    }),
    values,
    'path',
  )
}

/** Throws `invalid` for JSON that is nested too deep. */
export function checkDepth(value: unknown): void {
  let level: unknown[] = [value]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > maxDepth) throw new CloudError('invalid', `the body is nested deeper than ${maxDepth} levels`)
    level = level.flatMap((inner) => (typeof inner === 'object' && inner !== null ? (Object.values(inner) as unknown[]) : []))
  }
}

/** Compiled when first used: most calls of a service are few. */
const validators = new WeakMap<object, ValidateFunction>()

function compiled(key: object, make: (components: Components) => Schema): ValidateFunction {
  const found = validators.get(key)
  if (found !== undefined) return found
  const components: Components = { schemas: new Map(), describe: noComments }
  const schema = make(components)
  const ajv = ownSchemas({ strict: false, verbose: true })
  ajv.addFormat(
    'date-time',
    (text) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i.test(text) && !Number.isNaN(Date.parse(text)),
  )
  const validate = ajv.compile({ ...schema, components: { schemas: Object.fromEntries(components.schemas) } })
  validators.set(key, validate)
  return validate
}

function jsonOf(desc: DescMessage, message: Message): unknown {
  try {
    // Update masks name options as they are spelt, which their JSON form cannot carry.
    const masks = desc.fields.filter((field) => field.message?.typeName === 'google.protobuf.FieldMask')
    return toJson(desc, { ...message, ...Object.fromEntries(masks.map(({ localName }) => [localName, undefined])) })
  } catch (caught) {
    throw new CloudError('invalid', 'a value of the request is out of its range', { cause: caught })
  }
}

function check(validate: ValidateFunction, value: unknown, where: string): void {
  if (validate(value)) return
  const error = validate.errors?.[0]
  if (error === undefined) throw new CloudError('invalid', 'the request is wrong')
  throw describe(error, where)
}

/** Names the field, never its value: it may be a secret. */
function describe(error: ErrorObject, where: string): CloudError {
  const place = [where, ...error.instancePath.split('/').slice(1)].filter((part) => part !== '').join('.')
  const extra: unknown = error.params['additionalProperty']
  if (typeof extra !== 'string') return new CloudError('invalid', `${place === '' ? 'the request' : place} ${error.message ?? 'is wrong'}`)
  const known: unknown = error.parentSchema === undefined ? undefined : Reflect.get(error.parentSchema, 'properties')
  const nearest = nearestName(extra, typeof known === 'object' && known !== null ? Object.keys(known) : [])
  return new CloudError('invalid', `${place === '' ? 'the request' : place} has no field '${extra.slice(0, 64)}'`, {
    ...(nearest === undefined ? {} : { hint: `Did you mean ${nearest}?` }),
  })
}
