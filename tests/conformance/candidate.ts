/** What the conformance suite needs to know of a connector, and helpers that read well in its tests. */
import type { CapabilityCheck } from '../../src-service/common/drive-state.ts'
import { CloudError } from '../../src-service/common/errors.ts'
import type { ErrorKind } from '../../src-service/common/errors.ts'
import { bytesOf } from '../../src-service/drive/connectors/bytes-of.ts'
import type {
  Capabilities,
  Connector,
  PosixAttributes,
  Precondition,
  RemoteEntry,
  RemotePlace,
  UploadSource,
  WriteOptions,
} from '../../src-service/drive/connectors/connector.ts'

/**
 * Abilities that a connector may lack. What it lacks must be declared here as well as in its capabilities, and what a server lacks
 * must really fail.
 */
export type Ability = ConnectorAbility | ServerAbility

type ConnectorAbility =
  | 'server-conditions'
  | 'resumable'
  | 'move'
  | 'tree-move'
  | 'copy'
  | 'real-folders'
  | 'mode'
  | 'owner'
  | 'mtime'
  | 'symlinks'
  | 'special-nodes'
  | 'xattrs'
  | 'set-attributes'
  | 'attributes-in-listings'
  /** Its objects have keys, which other clients may choose freely; the bench then has `plant`. */
  | 'foreign-keys'

/** Beyond the capabilities: some servers of a protocol do it, some do not. The check of a lack is run, and must fail. */
const serverAbilities = [
  /** Lists a folder beside a file of the same name. */
  'twins',
  /** Takes keys with an empty segment, as `a//b`. */
  'empty-segments',
  /** Takes keys with `.` and `..` as segments. */
  'dot-segments',
  /** Takes a key that ends in a slash and has contents. */
  'slash-contents',
  /** Of two clients that create one file at once, one is refused. */
  'exclusive-creation',
  /** Names with control signs that XML does not know. */
  'control-signs',
  /** Names with a backslash. */
  'backslash',
  /** Names that end in a dot or a space. */
  'trailing-signs',
  /** Lists names that begin with a dot. */
  'leading-dots',
] as const
type ServerAbility = (typeof serverAbilities)[number]

/** One empty place on a cloud, seen by two clients. */
export interface Bench {
  readonly connector: Connector
  /** Another client of the same place; also what a new process would open. */
  readonly other: Connector
  /** Bytes of contents that the cloud has received from both; only for connectors with `resumable`. */
  readonly received: () => number
  /** Stores an object below the bench's root as another client would, under a key that need not be a path; only for object stores. */
  readonly plant?: (key: string, contents: string) => Promise<void>
  readonly close: () => Promise<void>
}

export interface Candidate {
  /** Type of the connector. */
  readonly provider: string
  /** The server and how it is used: with `provider` one column of the table. */
  readonly server: string
  /** The expected result of every check: all pass but those of these abilities. */
  readonly lacks: readonly Ability[]
  /** Server abilities of which a race decides: neither having nor lacking them can be shown. By ability, the reason. */
  readonly luck?: Readonly<Partial<Record<Ability, string>>>
  /** What the connector measures on this server, by name. Default: it measures nothing. */
  readonly sheet?: Readonly<Record<string, CapabilityCheck['result']>>
  readonly open: () => Promise<Bench>
}

export function abilitiesOf(capabilities: Capabilities): Set<Ability> {
  const { posix } = capabilities
  const all: readonly (readonly [ConnectorAbility, boolean])[] = [
    ['server-conditions', capabilities.conditionalWrite === 'server'],
    ['resumable', capabilities.resumableWrite],
    ['move', capabilities.move !== 'none'],
    ['tree-move', capabilities.move === 'tree'],
    ['copy', capabilities.copy],
    ['real-folders', capabilities.realFolders],
    ['mode', posix.mode],
    ['owner', posix.owner],
    ['mtime', posix.mtime],
    ['symlinks', posix.symlinks],
    ['special-nodes', posix.specialNodes],
    ['xattrs', posix.xattrs],
    ['set-attributes', posix.setAttributes],
    ['attributes-in-listings', posix.inListings],
  ]
  return new Set(all.filter(([, has]) => has).map(([ability]) => ability))
}

export const signal: AbortSignal = new AbortController().signal
export const absent: Precondition = { kind: 'absent' }
export const any: Precondition = { kind: 'any' }

export function at(...names: readonly (string | Buffer)[]): RemotePlace {
  return { path: names.map((name) => Buffer.from(name)), id: null, parentId: null }
}

export function sourceOf(contents: string | Buffer): UploadSource {
  const bytes = Buffer.from(contents)
  return {
    size: bytes.length,
    read: async (start, end, abort) => {
      abort.throwIfAborted()
      return bytes.subarray(start, end)
    },
  }
}

export function writeOptions(precondition: Precondition, posix: PosixAttributes = {}): WriteOptions {
  return { precondition, posix, resume: null, saveHandle: async () => undefined, onProgress: () => undefined }
}

export function put(
  connector: Connector,
  place: RemotePlace,
  contents: string | Buffer,
  precondition: Precondition = absent,
  abort = signal,
): Promise<RemoteEntry> {
  return connector.write(place, 'file', sourceOf(contents), writeOptions(precondition), abort)
}

export function readAll(connector: Connector, place: RemotePlace, start: number, end: number, rev: string): Promise<Buffer> {
  return bytesOf(connector.read(place, start, end, rev, signal))
}

/** Whole contents of what is there now. */
export async function contentsAt(connector: Connector, place: RemotePlace): Promise<string> {
  const entry = await statOf(connector, place)
  return (await readAll(connector, place, 0, entry.size, entry.rev)).toString()
}

export async function statOf(connector: Connector, place: RemotePlace): Promise<RemoteEntry> {
  const entry = await connector.stat(place, 'any', signal)
  if (!entry) throw new Error(`${place.path.join('/')} is absent`)
  return entry
}

export async function listAll(connector: Connector, place: RemotePlace): Promise<RemoteEntry[]> {
  const entries: RemoteEntry[] = []
  for await (const page of connector.list(place, signal)) {
    if (page.hidden.length > 0) throw new Error(`hidden: ${page.hidden.join(', ')}`)
    entries.push(...page.entries)
  }
  return entries
}

export async function namesIn(connector: Connector, place: RemotePlace): Promise<string[]> {
  return (await listAll(connector, place)).map((entry) => entry.name.toString()).sort()
}

/** The error with which a call is refused. Anything but a CloudError, and any success, fails the test. */
export async function error(promise: Promise<unknown>): Promise<CloudError> {
  try {
    await promise
  } catch (caught) {
    if (caught instanceof CloudError) return caught
    throw caught
  }
  throw new Error('was not refused')
}

/** Its kind. */
export async function refusal(promise: Promise<unknown>): Promise<ErrorKind> {
  return (await error(promise)).kind
}

export async function drain(iterable: AsyncIterable<unknown>): Promise<void> {
  const iterator = iterable[Symbol.asyncIterator]()
  while (!(await iterator.next()).done);
}

export function isServerAbility(ability: Ability): ability is ServerAbility {
  return serverAbilities.some((known) => known === ability)
}
