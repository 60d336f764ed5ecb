import type { Schema } from './json-schema.ts'

/** google.rpc.Status with the details that every error has. */
export const statusSchemas: Readonly<Record<string, Schema>> = {
  Status: {
    type: 'object',
    description: 'Why a call failed, google.rpc.Status.',
    properties: {
      code: { type: 'integer', minimum: 1, maximum: 16, description: 'google.rpc.Code.' },
      message: { type: 'string', description: 'For logs and scripts, English.' },
      details: { type: 'array', items: { $ref: '#/components/schemas/StatusDetail' } },
    },
    required: ['code', 'message', 'details'],
    additionalProperties: false,
  },
  StatusDetail: {
    type: 'object',
    description: 'google.rpc.ErrorInfo, google.rpc.RequestInfo or google.rpc.RetryInfo.',
    properties: { '@type': { type: 'string' } },
    required: ['@type'],
    additionalProperties: true,
  },
}

const error = { $ref: '#/components/responses/Error' }

/** What every operation may answer instead. */
export const errorResponses: Schema = { '4XX': error, '5XX': error }

const place: readonly Schema[] = [
  { name: 'mountId', in: 'path', required: true, description: 'Id of the mount.', schema: { type: 'string', minLength: 1, maxLength: 64 } },
  {
    name: 'path',
    in: 'path',
    required: true,
    description: 'Below the mount; slashes as they are, or as `%2F`. A name has at most 255 bytes.',
    schema: { type: 'string', minLength: 1, maxLength: 4096 },
  },
]

const binary: Schema = { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } }
const etagHeader: Schema = { ETag: { description: 'Changes with every change of the contents.', schema: { type: 'string' } } }

function header(name: string, description: string): Schema {
  return { name, in: 'header', description, schema: { type: 'string' } }
}

const reading: Schema = {
  tags: ['Plain'],
  parameters: [
    header('Range', 'One range of bytes, `bytes=0-99`; anything else gives the whole file.'),
    header('If-Range', 'The etag of the contents that the range is of; of others the whole file comes.'),
    header('If-Match', 'The etag that the file must have.'),
    header('If-None-Match', 'The etag of contents that the client has: then 304 comes.'),
  ],
  responses: {
    200: { description: 'All of it, as an attachment.', headers: etagHeader, content: binary },
    206: { description: 'The range.', headers: etagHeader, content: binary },
    304: { description: 'The client has it.' },
    ...errorResponses,
  },
}

const writing: Schema = {
  operationId: 'writeContent',
  tags: ['Plain'],
  summary: 'Replaces or makes a file',
  description:
    'Until all of the body is there the file is as it was. The provider follows behind. Needs the role operator.\n\nErrors: NOT_FOUND (the mount, the folder), IS_A_FOLDER, READ_ONLY, CONFLICT (If-Match, If-None-Match), NO_SPACE, WORKER_UNAVAILABLE.',
  parameters: [header('If-Match', 'The etag that the file must have.'), header('If-None-Match', '`*`: the file must not exist yet.')],
  requestBody: { required: true, content: binary },
  responses: {
    201: { description: 'It is made.', headers: etagHeader },
    204: { description: 'It is replaced.', headers: etagHeader },
    ...errorResponses,
  },
}

const contents: Record<string, Schema> = {
  get: {
    operationId: 'readContent',
    summary: 'Reads a file',
    description:
      'The contents as they stand in the drive. Needs the role read-only.\n\nErrors: NOT_FOUND, IS_A_FOLDER, CONFLICT (If-Match), RANGE_NOT_SATISFIABLE, OFFLINE, WORKER_UNAVAILABLE.',
    ...reading,
  },
  head: {
    operationId: 'lookAtContent',
    summary: 'Looks at a file',
    description: 'The headers of GET. Needs the role read-only.',
    ...reading,
  },
  put: writing,
}

/** The paths that no method of the contract stands behind. */
export const plainPaths: Readonly<Record<string, Record<string, Schema>>> = {
  '/api/v1/mounts/{mountId}/content/{path}': Object.fromEntries(
    Object.entries(contents).map(([verb, operation]) => [
      verb,
      { ...operation, parameters: [...place, ...(operation['parameters'] as Schema[])] },
    ]),
  ),
  '/api/v1/health': {
    get: {
      operationId: 'health',
      tags: ['Plain'],
      summary: 'Whether the service lives',
      security: [],
      responses: {
        200: { description: 'It lives.', content: { 'application/json': { schema: statusOf('ok') } } },
        ...errorResponses,
      },
    },
  },
  '/readyz': {
    get: {
      operationId: 'ready',
      tags: ['Plain'],
      summary: 'Whether the service takes calls',
      security: [],
      responses: {
        200: { description: 'It takes calls.', content: { 'application/json': { schema: statusOf('ready') } } },
        ...errorResponses,
      },
    },
  },
}

function statusOf(word: string): Schema {
  return { type: 'object', properties: { status: { const: word } }, required: ['status'], additionalProperties: false }
}
