import type { ProviderType } from '../proto/gen/cloudmoor/v1/provider_pb.js'
import type { Cli } from './cli.ts'
import { usageFailure } from './failure.ts'
import { readText } from './local-files.ts'
import { nearest } from './nearest.ts'
import { colour } from './output.ts'

/** What the command line reads of an option's schema. */
export interface OptionInfo {
  readonly name: string
  readonly type: string
  readonly title: string
  readonly description: string
  readonly required: boolean
  /** Required, unless one of these is set; [] = `required` alone counts. */
  readonly requiredUnless: readonly string[]
  readonly secret: boolean
  readonly advanced: boolean
  readonly values: readonly string[]
  readonly initial: string
  /** A switch that only somebody who knows why should turn. */
  readonly guarded: boolean
}

type JsonObject = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)
const text = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : ''

/** The options of a provider type, in the schema's order. */
export function optionsOf(type: ProviderType): OptionInfo[] {
  const schema: JsonObject = type.optionsSchema ?? {}
  const properties = isObject(schema['properties']) ? schema['properties'] : {}
  const required = Array.isArray(schema['required']) ? schema['required'] : []
  return Object.entries(properties)
    .filter((entry): entry is [string, JsonObject] => isObject(entry[1]))
    .map(([name, property]) => ({
      name,
      type: text(property['type']),
      title: text(property['title']),
      description: text(property['description']),
      required: required.includes(name) || Array.isArray(property['requiredUnless']),
      requiredUnless: Array.isArray(property['requiredUnless']) ? property['requiredUnless'].map(text) : [],
      secret: property['secret'] === true,
      advanced: property['advanced'] === true,
      values: Array.isArray(property['enum']) ? property['enum'].map(text) : [],
      initial: text(property['default']),
      guarded: property['type'] === 'boolean' && property['trusted'] === true,
    }))
}

/** Reads `key=value`. The value may be empty and may hold further `=`. */
export function splitPair(pair: string, flag: string): readonly [key: string, value: string] {
  const at = pair.indexOf('=')
  if (at < 1) throw usageFailure(`${flag} ${pair}: expected key=value`)
  return [pair.slice(0, at), pair.slice(at + 1)]
}

/** The option of this name; a Failure names the nearest one. */
export function optionNamed(options: readonly OptionInfo[], name: string, type: string): OptionInfo {
  const found = options.find((option) => option.name === name)
  if (found !== undefined) return found
  const names = options.map((option) => option.name)
  const like = nearest(name, names)
  throw usageFailure(
    `provider type ${type} has no option '${name}'`,
    like === undefined ? `it has: ${names.join(', ')}` : `did you mean '${like}'? (cloudmoor config types ${type} lists them all)`,
  )
}

/** Reads `--set key=value …` against the type's options. Secrets are refused here: a command line is visible to every user. */
export function parseSettings(pairs: readonly string[], type: ProviderType): Record<string, string> {
  const options = optionsOf(type)
  const settings: Record<string, string> = {}
  for (const pair of pairs) {
    const [key, value] = splitPair(pair, '--set')
    const option = optionNamed(options, key, type.id)
    if (option.secret) {
      throw usageFailure(
        `'${key}' is a secret and must not stand on a command line, which other users can see`,
        `use --set-secret ${key}=- (from stdin), --set-secret ${key}=@FILE, or --set-secret ${key} to be asked`,
      )
    }
    settings[key] = value
  }
  return settings
}

/**
 * Reads `--set-secret key=-`, `key=@FILE` and `key` (asks). One `-` takes all of stdin, several take a line each. A newline
 * at the end is dropped.
 */
export async function readSecrets(cli: Cli, requests: readonly string[], type: ProviderType): Promise<Record<string, string>> {
  const options = optionsOf(type)
  const parsed = requests.map((request) => {
    const [key, source] = request.includes('=') ? splitPair(request, '--set-secret') : [request, undefined]
    const option = optionNamed(options, key, type.id)
    if (!option.secret) throw usageFailure(`'${key}' is not a secret`, `use --set ${key}=VALUE`)
    return { option, source }
  })
  const fromStdin = parsed.filter(({ source }) => source === '-').length
  const lines = fromStdin === 0 ? [] : stdinValues(await cli.readStdin(), fromStdin)
  const secrets: Record<string, string> = {}
  for (const { option, source } of parsed) {
    if (source === '-') secrets[option.name] = lines.shift() ?? ''
    else if (source === undefined) secrets[option.name] = await askSecret(cli, option)
    else if (source.startsWith('@')) secrets[option.name] = (await readText(source.slice(1))).replace(/\r?\n$/, '')
    else
      throw usageFailure(
        `--set-secret ${option.name}=…: a secret must not stand on a command line`,
        `use ${option.name}=- or ${option.name}=@FILE`,
      )
    if (secrets[option.name] === '') throw usageFailure(`the value of '${option.name}' is empty`)
  }
  return secrets
}

function stdinValues(input: string, count: number): string[] {
  if (count === 1) return [input.replace(/\r?\n$/, '')]
  const lines = input.split(/\r?\n/)
  if (lines.length < count) throw usageFailure(`stdin has ${lines.length} lines, but ${count} secrets are to be read from it`)
  return lines.slice(0, count)
}

async function askSecret(cli: Cli, option: OptionInfo): Promise<string> {
  if (cli.prompts === null)
    throw usageFailure(`nobody can be asked for '${option.name}' here`, `use --set-secret ${option.name}=- or =@FILE`)
  return cli.prompts.secret(option.title)
}

/** Asks for what is required and not given yet. Where nobody can be asked, a Failure lists what is missing. */
export async function askMissing(
  cli: Cli,
  type: ProviderType,
  settings: Record<string, string>,
  secrets: Record<string, string>,
): Promise<void> {
  const isSet = (name: string) => name in secrets || (name in settings && settings[name] !== 'false')
  const missing = optionsOf(type).filter((option) => option.required && ![option.name, ...option.requiredUnless].some(isSet))
  if (missing.length === 0) return
  const { prompts } = cli
  if (prompts === null) {
    const flags = missing.map((option) => (option.secret ? `--set-secret ${option.name}=-` : `--set ${option.name}=…`))
    throw usageFailure(`provider type ${type.id} also needs: ${missing.map((option) => option.name).join(', ')}`, `add ${flags.join(' ')}`)
  }
  for (const option of missing) {
    if (option.secret) secrets[option.name] = await prompts.secret(option.title)
    else if (option.values.length > 0) {
      settings[option.name] = await prompts.choose(
        option.title,
        option.values.map((value) => ({ value, label: value })),
      )
    } else settings[option.name] = await prompts.text(`${option.title} (${option.description})`, option.initial)
  }
}

/** Said where a guarded switch is turned. */
export function warnOfGuarded(cli: Cli, settings: Readonly<Record<string, string>>, type: ProviderType): void {
  for (const { name, guarded, initial, description } of optionsOf(type)) {
    const value = settings[name]
    if (guarded && value !== undefined && value !== initial)
      cli.output.note(colour(cli.output, 'red', `WARNING: ${name}=${value}. ${description}`))
  }
}
