import { stringify } from 'yaml'
import type { MountRecord, Options, ProviderRecord } from '../store/records.ts'
import { version as programVersion } from '../../common/version.ts'
import type { Sealing, SecretSource } from './document.ts'
import { documentVersion } from './document-schema.ts'
import { isReference, writeReference } from '../providers/references.ts'

/** What a configuration file is made of. */
export interface ConfigState {
  readonly settings: Readonly<Record<string, string>>
  readonly providers: readonly ProviderRecord[]
  readonly mounts: readonly MountRecord[]
}

/** Sealed values by provider id and option name. */
export interface SealedSecrets {
  readonly sealing: Sealing
  readonly values: ReadonlyMap<string, Readonly<Record<string, string>>>
}

/** The file of a state: the same state gives the same bytes, save for what is sealed. */
export function writeDocument(state: ConfigState, sealed: SealedSecrets | null): string {
  const names = new Map(state.providers.map((provider) => [provider.id, provider.name]))
  const document = {
    version: documentVersion,
    writtenBy: programVersion,
    ...(sealed === null ? {} : { sealing: sealed.sealing }),
    ...(Object.keys(state.settings).length === 0 ? {} : { settings: sorted(state.settings) }),
    providers: byName(state.providers).map((provider) => providerEntry(provider, sealed?.values.get(provider.id) ?? {})),
    mounts: byName(state.mounts).map((mount) => mountEntry(mount, names.get(mount.providerId) ?? mount.providerId)),
  }
  return stringify(document, { lineWidth: 0, aliasDuplicateObjects: false, schema: 'core', singleQuote: true })
}

function providerEntry(provider: ProviderRecord, sealed: Readonly<Record<string, string>>) {
  const secrets: Record<string, SecretSource> = {}
  for (const [name, reference] of Object.entries(provider.secretRefs)) {
    const value = sealed[name]
    if (isReference(reference)) secrets[name] = writeReference(reference)
    else if (value !== undefined) secrets[name] = { sealed: value }
  }
  return {
    name: provider.name,
    id: provider.id,
    type: provider.type,
    ...unlessEmpty('options', provider.options),
    ...unlessEmpty('secrets', secrets),
  }
}

function mountEntry(mount: MountRecord, provider: string) {
  const { name, id, remoteRoot, path, cacheSize, cacheDir, readOnly, access, uid, gid, umask, shared, labels, options, enabled } = mount
  return {
    ...{ name, id, provider },
    ...(remoteRoot === '' ? {} : { remote: remoteRoot }),
    ...{ path, cacheSize },
    ...(cacheDir === '' ? {} : { cacheDir }),
    ...{ readOnly, access, uid, gid, umask: umask.toString(8).padStart(3, '0'), shared },
    ...(labels.length === 0 ? {} : { labels: [...labels] }),
    ...unlessEmpty('options', options),
    enabled,
  }
}

function unlessEmpty(key: string, values: Readonly<Record<string, Options[string] | SecretSource>>): object {
  return Object.keys(values).length === 0 ? {} : { [key]: sorted(values) }
}

function sorted<T>(values: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1)))
}

function byName<T extends { readonly name: string }>(resources: readonly T[]): T[] {
  return [...resources].sort((a, b) => (a.name < b.name ? -1 : 1))
}
