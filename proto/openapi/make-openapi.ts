import { getOption } from '@bufbuild/protobuf'
import type { DescFile, DescMethod, DescService } from '@bufbuild/protobuf'
import { policy, Role } from '../gen/cloudmoor/v1/policy_pb.js'
import type { Comments } from './comments.ts'
import { examples } from './examples.ts'
import { bindingsOf, bodySchema, isRequired, needsBody, queryFieldSchema, variableSchema } from './http-binding.ts'
import type { HttpBinding } from './http-binding.ts'
import { fieldSchema, messageSchema, withoutKeywords } from './json-schema.ts'
import type { Components, Schema } from './json-schema.ts'
import { errorResponses, plainPaths, statusSchemas } from './plain-routes.ts'

/** The OpenAPI 3.1 description of everything below /api/v1. */
export function makeOpenApi(files: readonly DescFile[], comments: Comments, version: string): Schema {
  const components: Components = { schemas: new Map(Object.entries(statusSchemas)), describe: comments }
  const services = files.flatMap((file) => file.services)
  const paths: Record<string, Record<string, Schema>> = { ...plainPaths }
  const bindings = services.flatMap((service) => service.methods.flatMap(bindingsOf))
  for (const binding of bindings) {
    const path = (paths[binding.path.openApi] ??= {})
    path[binding.verb.toLowerCase()] = operation(binding, comments, components)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'CloudMoor',
      version,
      summary: 'Turns cloud storage into a drive.',
      description: 'The same methods answer gRPC, gRPC-Web and Connect; docs/api.md says how.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    security: [{ token: [] }],
    tags: [...services.map((service) => tag(service, comments)), { name: 'Plain', description: 'What is not a method of the contract.' }],
    paths: sorted(paths),
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'An API token; the unix socket needs none.' } },
      responses: {
        Error: {
          description:
            'The call failed. The reason stands in the detail `google.rpc.ErrorInfo`, the id to look for in the log in `google.rpc.RequestInfo`.',
          content: { 'application/json': { schema: { $ref: '#/components/schemas/Status' } } },
        },
      },
      schemas: sorted(Object.fromEntries(components.schemas)),
    },
  }
}

function tag(service: DescService, comments: Comments): Schema {
  return { name: service.name, description: comments(service) }
}

function operation(binding: HttpBinding, comments: Comments, components: Components): Schema {
  const { method, id } = binding
  const comment = comments(method)
  const body = bodySchema(binding, components)
  const parameters = [...pathParameters(binding, components), ...queryParameters(binding, components), ...headerParameters(binding)]
  return {
    operationId: id,
    tags: [method.parent.name],
    summary: firstSentence(comment),
    description: `${comment}\n\nNeeds the role ${roleOf(method)}.`,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(getOption(method, policy).open ? { security: [] } : {}),
    ...(body === null ? {} : { requestBody: { required: needsBody(binding), content: { 'application/json': jsonBody(id, body) } } }),
    responses: { 200: answer(binding, components), ...errorResponses },
  }
}

function jsonBody(id: string, schema: Schema): Schema {
  const example = examples[id]
  return example === undefined ? { schema } : { schema, example }
}

function roleOf(method: DescMethod): string {
  return Role[getOption(method, policy).role].toLowerCase().replace('_', '-')
}

function firstSentence(comment: string): string {
  return (/^[^.;:]*/.exec(comment.replaceAll('\n', ' '))?.[0] ?? '').slice(0, 120)
}

function pathParameters({ path, method }: HttpBinding, components: Components): Schema[] {
  return path.variables.map(({ field, name, deep }) => {
    const { description, ...schema } = withoutKeywords(variableSchema(method, field, deep, components), 'readOnly')
    return { name, in: 'path', required: true, ...(description === undefined ? {} : { description }), schema }
  })
}

function queryParameters({ query }: HttpBinding, components: Components): Schema[] {
  return query.map((entry) => {
    const { description, ...schema } = queryFieldSchema(entry, components)
    const required = isRequired(entry)
    return {
      name: entry.name,
      in: 'query',
      ...(required ? { required } : {}),
      ...(description === undefined ? {} : { description }),
      schema,
    }
  })
}

const ifMatch = {
  name: 'If-Match',
  in: 'header',
  description: 'The etag that the resource must have, in quotes.',
  schema: { type: 'string', pattern: '^"[0-9A-Za-z]{1,64}"$' },
}
const idempotencyKey = {
  name: 'Idempotency-Key',
  in: 'header',
  description: 'The same key with the same request within 24 hours makes nothing new and gives what the first made.',
  schema: { type: 'string', pattern: '^[A-Za-z0-9._-]{1,64}$' },
}

function headerParameters(binding: HttpBinding): Schema[] {
  return [...(etagField(binding) === null ? [] : [ifMatch]), ...(takesRequestId(binding.method) ? [idempotencyKey] : [])]
}

/** Where the etag of a change goes: `etag`, or `mount.etag` of the resource that is changed; null = it takes none. */
export function etagField({ method, verb, path }: HttpBinding): readonly string[] | null {
  if (verb === 'GET' || verb === 'POST') return null
  if (method.input.fields.some(({ name }) => name === 'etag')) return ['etag']
  const resource = method.input.fields.find(
    (field) => field.fieldKind === 'message' && path.variables.some((variable) => variable.field.startsWith(`${field.name}.`)),
  )
  if (resource?.message?.fields.some(({ name }) => name === 'etag') !== true) return null
  return [resource.jsonName, 'etag']
}

export function takesRequestId(method: DescMethod): boolean {
  return method.input.fields.some(({ name }) => name === 'request_id')
}

function answer({ method, answer: field }: HttpBinding, components: Components): Schema {
  const schema = withoutKeywords(field === null ? messageSchema(method.output, components) : fieldSchema(field, components), 'readOnly')
  const description = 'Done.'
  if (method.methodKind === 'unary') return { description, content: { 'application/json': { schema } } }
  return {
    description: 'A stream: one JSON object a line, or events.',
    content: { 'application/x-ndjson': { schema }, 'text/event-stream': { schema } },
  }
}

function sorted<T>(entries: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(entries).sort(([left], [right]) => (left < right ? -1 : 1)))
}
