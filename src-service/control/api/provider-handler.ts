import { clone } from '@bufbuild/protobuf'
import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf'
import type { ServiceImpl } from '@connectrpc/connect'
import { CreateProviderRequestSchema } from '../../../proto/gen/cloudmoor/v1/provider_pb.js'
import { checkOnWire } from './check-wire.ts'
import type { CreateProviderRequest, ProviderSchema, ProviderService } from '../../../proto/gen/cloudmoor/v1/provider_pb.js'
import { CloudError } from '../../common/errors.ts'
import { Secret } from '../../common/secret.ts'
import type { Descriptor } from '../../drive/connectors/connector.ts'
import type { Provider, Providers } from '../providers/providers.ts'
import { sightOf } from './call.ts'
import type { CreateOnce } from './create-once.ts'
import { pageOf } from './page.ts'
import { checkMask, readEtag, readOptionChange, readOptions, withoutFixed, writeEtag, writeManagedBy, writeTime } from './wire-values.ts'

/** ProviderService in terms of `Providers`. */
export function providerHandler(providers: Providers, once: CreateOnce): ServiceImpl<typeof ProviderService> {
  return {
    listProviderTypes: () => ({ providerTypes: providers.types.map(writeType) }),

    listProviders: async (request, context) => {
      const sight = sightOf(context)
      const seen = (await providers.list()).filter(({ record }) => sight.provider(record.id))
      const { entries, nextPageToken } = pageOf(seen, (provider) => provider.record.name, request)
      return { providers: entries.map(writeProvider), nextPageToken }
    },

    getProvider: async (request) => ({ provider: writeProvider(await providers.get(request.id)) }),

    createProvider: async (request, context) => {
      const given = request.provider ?? missing('provider')
      const draft = { name: given.name, type: given.type, options: readOptions(given.options), secrets: readSecrets(request.secrets) }
      const comparable = withoutSecrets(request)
      const id = await once.run('CreateProvider', request.requestId, CreateProviderRequestSchema, comparable, async (key) => {
        return (await providers.create(draft, key, request.test, context.signal)).record.id
      })
      return { provider: writeProvider(await providers.get(id)) }
    },

    updateProvider: async (request) => {
      const given = request.provider ?? missing('provider')
      const stored = await providers.get(given.id)
      const paths = withoutFixed(request.updateMask?.paths ?? [], { type: given.type === stored.record.type })
      checkMask(paths, ['name'])
      const changed = await providers.update(given.id, readEtag(given.etag), {
        ...(paths.includes('name') ? { name: given.name } : {}),
        options: readOptionChange(paths, given.options, stored.record.options),
        secrets: readSecrets(request.secrets),
      })
      return { provider: writeProvider(changed) }
    },

    removeProvider: async (request) => {
      await providers.remove(request.id, readEtag(request.etag))
      return {}
    },

    testProvider: async (request, context) => ({
      checks: (await providers.test(request.id, request.remoteRoot, context.signal)).map(checkOnWire),
    }),
  }
}

function missing(field: string): never {
  throw new CloudError('invalid', `${field} is missing`)
}

function readSecrets(secrets: Readonly<Record<string, string>>): Record<string, Secret> {
  return Object.fromEntries(Object.entries(secrets).map(([name, value]) => [name, new Secret(value)]))
}

function withoutSecrets(request: CreateProviderRequest): CreateProviderRequest {
  const copy = clone(CreateProviderRequestSchema, request)
  for (const name of Object.keys(copy.secrets)) copy.secrets[name] = ''
  copy.requestId = ''
  return copy
}

/** An account as the wire has it. */
export function writeProvider({ record, secrets }: Provider): MessageInitShape<typeof ProviderSchema> {
  return {
    id: record.id,
    name: record.name,
    etag: writeEtag(record.revision),
    managedBy: writeManagedBy(record.managedBy),
    managedFile: record.managedFile,
    type: record.type,
    options: { ...record.options },
    secrets: secrets.map((secret) => ({ name: secret.name, updateTime: writeTime(secret.storedAt) })),
    createTime: writeTime(record.createdAt),
    updateTime: writeTime(record.updatedAt),
  }
}

function writeType(descriptor: Descriptor) {
  const { type, title, summary, maturity, docs, options, presets, capabilities, defaults } = descriptor
  return {
    id: type,
    title,
    summary,
    maturity,
    docs,
    optionsSchema: asJson(options),
    presets: presets.map((preset) => ({ name: preset.name, title: preset.title, values: { ...preset.values } })),
    capabilities: asJson(capabilities),
    defaults: asJson(defaults),
  }
}

/** Descriptors are data: what JSON makes of them is what they are. */
function asJson(data: object): JsonObject {
  return JSON.parse(JSON.stringify(data)) as JsonObject
}
