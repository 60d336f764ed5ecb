import type { Descriptor } from '../../drive/connectors/connector.ts'
import { settings } from '../store/settings.ts'

/** Version of the format. */
export const documentVersion = 1

const scalar = { type: ['string', 'number', 'boolean'] }

/**
 * JSON Schema (draft 2020-12) of a configuration file. It checks the shape; what values an option may have is said for
 * editors (`if`/`then` by provider type) and checked by the provider type itself, which says it better.
 */
export function documentSchema(descriptors: readonly Descriptor[]): object {
  return {
    type: 'object',
    required: ['version'],
    additionalProperties: false,
    properties: {
      version: { const: documentVersion, description: 'Version of this format.' },
      writtenBy: {
        description: 'Version of CloudMoor that exported it; an import warns when it is another one.',
        type: 'string',
        maxLength: 64,
        pattern: '^[0-9]{1,9}\\.[0-9]{1,9}\\.[0-9]{1,9}(-[0-9A-Za-z.-]+)?$',
      },
      sealing: {
        description: 'How sealed secrets were sealed: made by config export --with-secrets.',
        type: 'object',
        required: ['salt', 'memoryKiB', 'passes', 'lanes'],
        additionalProperties: false,
        properties: {
          salt: { type: 'string', maxLength: 64 },
          memoryKiB: { type: 'integer', minimum: 8 },
          passes: { type: 'integer', minimum: 1 },
          lanes: { type: 'integer', minimum: 1 },
        },
      },
      settings: {
        description: 'Settings of the service; those that are left out stay as they are.',
        type: 'object',
        additionalProperties: false,
        default: {},
        properties: Object.fromEntries(settings.map(({ name, description, schema }) => [name, { description, ...schema }])),
      },
      providers: { description: 'Saved accounts.', type: 'array', maxItems: 10_000, default: [], items: providerSchema(descriptors) },
      mounts: { description: 'Mounts.', type: 'array', maxItems: 10_000, default: [], items: mountSchema },
    },
  }
}

function providerSchema(descriptors: readonly Descriptor[]): object {
  return {
    type: 'object',
    required: ['name', 'type'],
    additionalProperties: false,
    properties: {
      name: { type: 'string', description: 'Unique among providers.' },
      id: idSchema,
      type: { type: 'string', description: `Provider type: ${descriptors.map(({ type }) => type).join(', ')}.` },
      options: { type: 'object', default: {}, additionalProperties: scalar, description: 'Options without secrets.' },
      secrets: {
        type: 'object',
        default: {},
        description:
          'Secrets by option name: ${NAME} (environment variable of the service), file:/path, or a sealed value. One that is left out stays as it is.',
        additionalProperties: {
          anyOf: [
            { type: 'string', pattern: '^(\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}|file:/.+)$' },
            {
              type: 'object',
              required: ['sealed'],
              additionalProperties: false,
              properties: { sealed: { type: 'string', maxLength: 200_000 } },
            },
          ],
        },
      },
    },
  }
}

const idSchema = {
  type: 'string',
  pattern: '^[0-9a-hjkmnp-tv-z]{16}$',
  description: 'Set by the service. With it a renamed entry is the same object.',
}

const mountSchema = {
  type: 'object',
  required: ['name', 'provider', 'path'],
  additionalProperties: false,
  properties: {
    name: { type: 'string', description: 'Unique among mounts.' },
    id: idSchema,
    provider: { type: 'string', description: 'Name of the provider.' },
    remote: { type: 'string', default: '', description: 'Folder on the account; empty = its root. Never changes.' },
    path: { type: 'string', description: 'Where it appears: absolute path of an empty folder.' },
    cacheSize: { type: 'integer', minimum: 1_048_576, description: 'Bytes; left out = the provider type’s default.' },
    cacheDir: { type: 'string', default: '', description: 'Absolute path; empty = in the service’s state. Never changes.' },
    readOnly: { type: 'boolean', default: false },
    access: { enum: ['owner', 'all'], default: 'owner', description: 'Who may look into it: the owner alone, or every user.' },
    uid: { type: 'integer', minimum: 0, description: 'Owner of its files; left out = the service’s user.' },
    gid: { type: 'integer', minimum: 0, description: 'Group of its files; left out = the service’s group.' },
    umask: { type: 'string', pattern: '^0?[0-7]{3}$', default: '022', description: 'Octal.' },
    shared: { type: 'boolean', default: false, description: 'Another mount may show the same remote folder.' },
    labels: { type: 'array', default: [], items: { type: 'string' }, description: 'Groups that grants may name.' },
    options: { type: 'object', default: {}, additionalProperties: scalar, description: 'Rarely needed options of the mount.' },
    enabled: { type: 'boolean', default: true, description: 'It is to be mounted.' },
  },
}
