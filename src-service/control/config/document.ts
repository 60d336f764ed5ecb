import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument as parseYaml } from 'yaml'
import type { Document } from 'yaml'
import { CloudError } from '../../common/errors.ts'
import type { Descriptor } from '../../drive/connectors/connector.ts'
import { nearestName } from '../../common/nearest-name.ts'
import { ownSchemas } from '../../common/own-schemas.ts'
import { version as programVersion } from '../../common/version.ts'
import type { Options } from '../store/records.ts'
import { documentSchema, documentVersion } from './document-schema.ts'

/** A configuration file: what is configured, without what runs and without secrets in clear. */
export interface ConfigDocument {
  readonly version: typeof documentVersion
  /** Version of the program that exported it; absent in files that people write. */
  readonly writtenBy?: string
  /** How sealed secrets were sealed; absent if there are none. */
  readonly sealing?: Sealing
  readonly settings: Readonly<Record<string, string>>
  readonly providers: readonly ProviderEntry[]
  readonly mounts: readonly MountEntry[]
}

/** What stands in a file, with its path; '' = it came in another way, and no file keeps it. */
export type OfFile<T> = T & { readonly file: string }

/** Several files as one configuration. */
export interface JoinedDocument extends ConfigDocument {
  /** By name of the setting. */
  readonly settingFiles: Readonly<Record<string, string>>
  readonly providers: readonly OfFile<ProviderEntry>[]
  readonly mounts: readonly OfFile<MountEntry>[]
}

/** A passphrase's derivation: Argon2id. */
export interface Sealing {
  readonly salt: string
  readonly memoryKiB: number
  readonly passes: number
  readonly lanes: number
}

/** Where a secret comes from: a reference that is stored as it is, or a value sealed with the export's passphrase. */
export type SecretSource = string | { readonly sealed: string }

export interface ProviderEntry {
  readonly name: string
  /** Makes a renamed entry the same object; absent = found by its name. */
  readonly id?: string
  readonly type: string
  readonly options: Options
  /** Those that are left out stay as they are. */
  readonly secrets: Readonly<Record<string, SecretSource>>
}

export interface MountEntry {
  readonly name: string
  readonly id?: string
  /** Name of the provider. */
  readonly provider: string
  readonly remote: string
  readonly path: string
  /** Bytes; absent = the provider type's default. */
  readonly cacheSize?: number
  readonly cacheDir: string
  readonly readOnly: boolean
  readonly access: 'owner' | 'all'
  readonly uid?: number
  readonly gid?: number
  /** Octal, `022`. */
  readonly umask: string
  readonly shared: boolean
  readonly labels: readonly string[]
  readonly options: Options
  /** It is to be mounted. */
  readonly enabled: boolean
}

const mostCharacters = 1024 * 1024
/** Lines, pairs and entries: about a thousand mounts. Each costs the parser up to 2 KiB, right or wrong. */
const mostParts = 40_000
const mostDepth = 12
/** Before the text is read, quotes cannot be told from brackets. */
const mostBrackets = 100

/** Reads a configuration file. Throws `invalid` or `too-large`, with the line of what is wrong. */
export function parseDocument(text: string, descriptors: readonly Descriptor[]): ConfigDocument {
  if (text.length > mostCharacters) throw new CloudError('too-large', `the configuration is longer than ${mostCharacters} characters`)
  refuseParts(text)
  refuseBrackets(text)
  const lines = new LineCounter()
  const yaml = parse(text, lines)
  const [error] = yaml.errors
  if (error?.message.includes('call stack') === true) throw tooDeep()
  if (error !== undefined) throw wrong(lines.linePos(error.pos[0]).line, error.message.split('\n')[0] ?? 'no YAML')
  refuseBombs(yaml.contents, { nodes: 0 }, 0)
  const value: unknown = yaml.toJS({ maxAliasCount: 0 })
  refuseNewer(value)
  const ajv = ownSchemas({ allErrors: false, useDefaults: true, strict: false, verbose: true })
  const validate = ajv.compile<ConfigDocument>(documentSchema(descriptors))
  if (validate(value)) return value
  const [problem] = validate.errors ?? []
  const path = (problem?.instancePath ?? '').split('/').slice(1).map(unescapePointer)
  const range = nodeAt(yaml.contents, path)
  throw wrong(range === null ? 1 : lines.linePos(range).line, describe(path, problem))
}

function wrong(line: number, message: string): CloudError {
  return new CloudError('invalid', `line ${line}: ${message}`, { hint: 'Nothing was changed. The schema is docs/config.schema.json.' })
}

/** What a newer format means cannot be known here, whatever it looks like. */
function refuseNewer(value: unknown): void {
  const format: unknown = typeof value === 'object' && value !== null && 'version' in value ? value.version : undefined
  if (typeof format !== 'number' || format <= documentVersion) return
  throw new CloudError('invalid', `the file has format ${format}; CloudMoor ${programVersion} reads format ${documentVersion}`, {
    hint: 'Nothing was changed. Update CloudMoor first, or export the file with this version.',
  })
}

function parse(text: string, lineCounter: LineCounter): Document.Parsed {
  const { stackTraceLimit } = Error
  // The parser makes an error of everything that is wrong, and each would carry its stack.
  Error.stackTraceLimit = 0
  try {
    // Its own check for unique keys takes time by the square of their number.
    return parseYaml(text, { lineCounter, schema: 'core', merge: false, uniqueKeys: false, prettyErrors: false, logLevel: 'silent' })
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

/** Before it is parsed: what it takes to find out that a text is wrong grows with what stands in it. */
function refuseParts(text: string): void {
  let parts = 0
  for (const part = /[\n,[{]|[-?:]\s|---|\t/g; part.test(text); ) if (++parts > mostParts) throw tooMany()
  if (/(?:[-?]\s+){13}/.test(text)) throw tooDeep()
}

function tooMany(): CloudError {
  return new CloudError('too-large', `the configuration has more than ${mostParts} parts`, { hint: 'Divide it into several files.' })
}

function tooDeep(): CloudError {
  return new CloudError('too-large', 'the configuration is nested too deeply')
}

/** The parser's time grows by the square of how deep brackets are nested. */
function refuseBrackets(text: string): void {
  let open = 0
  for (const character of text) {
    if (character === '[' || character === '{') open++
    else if (character === ']' || character === '}') open = Math.max(0, open - 1)
    if (open > mostBrackets) throw tooDeep()
  }
}

/** Anchors can make a short text grow without bound: they are not taken, nor is what is deep or has a great many parts. */
function refuseBombs(node: unknown, count: { nodes: number }, depth: number): void {
  if (isAlias(node)) throw new CloudError('invalid', 'aliases (*name) are not allowed in a configuration')
  if (++count.nodes > mostParts) throw tooMany()
  if (depth > mostDepth) throw tooDeep()
  if (isMap(node)) {
    const keys = new Set<unknown>()
    for (const { key, value } of node.items) {
      if (!isScalar(key)) throw new CloudError('invalid', 'a key of the configuration is not a plain word')
      if (keys.has(key.value)) throw new CloudError('invalid', `the key '${String(key.value).slice(0, 80)}' is not unique in its place`)
      keys.add(key.value)
      refuseBombs(value, count, depth + 1)
    }
  } else if (isSeq(node)) for (const item of node.items) refuseBombs(item, count, depth + 1)
}

/** Where the value of this path begins in the text; null = it is not there. */
function nodeAt(root: unknown, path: readonly string[]): number | null {
  let node: unknown = root
  for (const step of path) {
    const next: unknown = isMap(node) || isSeq(node) ? node.get(isSeq(node) ? Number(step) : step, true) : undefined
    if (next === undefined) break
    node = next
  }
  const range = typeof node === 'object' && node !== null && 'range' in node ? node.range : null
  return Array.isArray(range) && typeof range[0] === 'number' ? range[0] : null
}

function unescapePointer(step: string): string {
  return step.replaceAll('~1', '/').replaceAll('~0', '~')
}

interface Problem {
  readonly message?: string
  readonly params: Readonly<Record<string, unknown>>
  readonly parentSchema?: unknown
}

function describe(path: readonly string[], problem: Problem | undefined): string {
  const place = path.length === 0 ? 'the configuration' : path.join('.')
  const extra = problem?.params['additionalProperty']
  if (typeof extra === 'string') {
    const near = nearestName(extra, keysOf(problem?.parentSchema))
    return `${place} has no key '${extra}'${near === undefined ? '' : `; did you mean '${near}'?`}`
  }
  const allowed = problem?.params['allowedValues']
  return `${place} ${problem?.message ?? 'is not valid'}${Array.isArray(allowed) ? `: ${allowed.join(', ')}` : ''}`
}

function keysOf(schema: unknown): string[] {
  const properties: unknown = typeof schema === 'object' && schema !== null && 'properties' in schema ? schema.properties : {}
  return typeof properties === 'object' && properties !== null ? Object.keys(properties) : []
}
