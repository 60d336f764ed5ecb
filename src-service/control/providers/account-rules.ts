import { CloudError } from '../../common/errors.ts'
import type { Secret } from '../../common/secret.ts'
import type { Descriptor, OptionSchema } from '../../drive/connectors/connector.ts'
import { nearestName, validateOptions } from '../../drive/connectors/validate-options.ts'
import type { Options, OptionValue, ProviderRecord } from '../store/records.ts'

type Secrets = Readonly<Record<string, Secret>>

const maxSecretLength = 64 * 1024

/** What the descriptors allow, ask for and forbid. Everything throws `invalid` (UNKNOWN_TYPE, UNKNOWN_OPTION). */
export interface AccountRules {
  /** Options as they are stored, and the secrets that were really given. */
  checkNew(draft: { readonly type: string; readonly options: Options; readonly secrets: Secrets }): {
    readonly options: Options
    readonly secrets: Secrets
  }
  /** Options as they will be stored, secrets to replace, and names of secrets to forget. Also throws `sign-in` (SECRETS_NEEDED). */
  checkChange(
    stored: ProviderRecord,
    change: { readonly options: Readonly<Record<string, OptionValue | null>>; readonly secrets: Secrets },
  ): { readonly options: Options; readonly replaced: Secrets; readonly forgotten: readonly string[]; readonly moved: boolean }
  /** A whole account as a configuration file has it, beside what is stored (null = nothing yet). */
  checkWhole(
    account: { readonly type: string; readonly options: Options; readonly secrets: readonly string[] },
    stored: ProviderRecord | null,
  ): WholeAccount
  /** Options as the connector sees them. */
  withDefaults(type: string, options: Options): Options
  /** Variables of the service's environment that an account with these options makes use of. */
  environmentOf(type: string, options: Options): readonly string[]
}

export interface WholeAccount {
  /** As they are stored. */
  readonly options: Options
  /** Needed secrets that are neither given nor stored: the account does not work before they are. */
  readonly missing: readonly string[]
  /** Other files may lie where it points to now. */
  readonly moved: boolean
}

export function createAccountRules(descriptors: readonly Descriptor[]): AccountRules {
  function descriptorOf(type: string): Descriptor {
    const found = descriptors.find((descriptor) => descriptor.type === type)
    if (found !== undefined) return found
    const names = descriptors.map((descriptor) => descriptor.type)
    const like = nearestName(type, names)
    throw new CloudError('invalid', type === '' ? 'the provider type is missing' : `there is no provider type '${type}'`, {
      code: 'UNKNOWN_TYPE',
      hint: like === undefined ? `Known types: ${names.join(', ')}.` : `Did you mean ${like}?`,
    })
  }

  return {
    checkNew: (draft) => {
      const secrets = givenOnly(draft.secrets)
      checkValues(draft.secrets)
      return { options: checkOptions(descriptorOf(draft.type), draft.options, Object.keys(secrets)), secrets }
    },

    checkChange: (stored, change) => {
      const descriptor = descriptorOf(stored.type)
      checkValues(change.secrets)
      const replaced = givenOnly(change.secrets)
      const forgotten = Object.keys(change.secrets).filter((name) => !Object.hasOwn(replaced, name))
      const left = Object.keys(stored.secretRefs).filter((name) => !forgotten.includes(name))
      const options = checkOptions(descriptor, mergeOptions(stored.options, change.options), [
        ...new Set([...left, ...Object.keys(replaced)]),
      ])
      checkDestination(descriptor, stored, options, Object.keys(change.secrets))
      return { options, replaced, forgotten, moved: changedOptions(descriptor, stored.options, options, isPlace).length > 0 }
    },

    checkWhole: ({ type, options, secrets }, stored) => {
      const descriptor = descriptorOf(type)
      const present = [...new Set([...secrets, ...Object.keys(stored?.secretRefs ?? {})])]
      const { problems } = validateOptions(descriptor, { options, secrets: present })
      const isSecret = (name: string) => descriptor.options.properties[name]?.secret === true
      const missing = problems.flatMap(({ option, reason }) => (reason === 'missing' && isSecret(option) ? [option] : []))
      const checked = checkOptions(descriptor, options, [...present, ...missing])
      if (stored === null) return { options: checked, missing, moved: false }
      checkDestination(descriptor, stored, checked, secrets)
      return { options: checked, missing, moved: changedOptions(descriptor, stored.options, checked, isPlace).length > 0 }
    },

    withDefaults: (type, options) => effective(descriptorOf(type), options),

    environmentOf: (type, options) =>
      Object.entries(descriptorOf(type).options.properties).flatMap(([name, { environment = [] }]) =>
        options[name] === undefined ? [] : environment,
      ),
  }
}

/** An empty value counts as not given. */
function givenOnly(secrets: Secrets): Record<string, Secret> {
  return Object.fromEntries(Object.entries(secrets).filter(([, value]) => value.reveal() !== ''))
}

function mergeOptions(stored: Options, change: Readonly<Record<string, OptionValue | null>>): Options {
  const merged: Record<string, OptionValue> = {}
  for (const [name, value] of Object.entries({ ...stored, ...change })) if (value !== null) merged[name] = value
  return merged
}

/** Options with the schema's types. */
function checkOptions(descriptor: Descriptor, options: Options, secrets: readonly string[]): Options {
  const { values, problems } = validateOptions(descriptor, { options, secrets })
  if (problems.length === 0) return values
  const unknown = problems.some((problem) => problem.reason === 'unknown')
  throw new CloudError('invalid', problems.map((problem) => problem.message).join(' '), unknown ? { code: 'UNKNOWN_OPTION' } : {})
}

/** Says nothing about a value but its length. */
function checkValues(secrets: Secrets): void {
  for (const [name, value] of Object.entries(secrets)) {
    if (value.reveal().length > maxSecretLength)
      throw new CloudError('invalid', `the secret '${name}' is longer than ${maxSecretLength} characters`)
    if (value.reveal().includes('\0')) throw new CloudError('invalid', `the secret '${name}' holds a NUL character`)
  }
}

/** Who changes where secrets are sent must know them: all that stay stored have to be given again (or forgotten). */
function checkDestination(descriptor: Descriptor, stored: ProviderRecord, options: Options, given: readonly string[]): void {
  const changed = changedOptions(descriptor, stored.options, options, sendsElsewhere)
  const kept = Object.keys(stored.secretRefs).filter((name) => !given.includes(name))
  if (changed.length === 0 || kept.length === 0) return
  throw new CloudError(
    'sign-in',
    `a change of ${changed.join(', ')} may send the stored secrets to another place: give ${kept.join(', ')} again`,
    {
      code: 'SECRETS_NEEDED',
      hint: `Add ${kept.map((name) => `--set-secret ${name}=-`).join(' ')}`,
    },
  )
}

function sendsElsewhere(schema: OptionSchema): boolean {
  return schema.destination === true || schema.exposes === true
}

/** Other files may lie there: a mount's local data would be taken for theirs. */
function isPlace(schema: OptionSchema): boolean {
  return schema.place === true || schema.destination === true
}

function changedOptions(descriptor: Descriptor, from: Options, to: Options, which: (schema: OptionSchema) => boolean): string[] {
  const before = effective(descriptor, from)
  const after = effective(descriptor, to)
  return Object.entries(descriptor.options.properties)
    .filter(([name, schema]) => which(schema) && before[name] !== after[name])
    .map(([name]) => name)
}

function effective(descriptor: Descriptor, options: Options): Options {
  const values: Record<string, OptionValue> = {}
  for (const [name, schema] of Object.entries(descriptor.options.properties)) {
    const value = options[name] ?? schema.default
    if (value !== undefined) values[name] = value
  }
  return values
}
