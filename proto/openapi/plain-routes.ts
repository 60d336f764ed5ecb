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

/** The paths that no method of the contract stands behind. */
export const plainPaths: Readonly<Record<string, Record<string, Schema>>> = {
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
