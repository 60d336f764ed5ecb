/** What the conformance suite needs to know of a connector, and helpers that read well in its tests. */
import { describe, test } from 'vitest'
import { CloudError } from '../../src-service/common/errors.ts'
import type { ErrorKind } from '../../src-service/common/errors.ts'
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

/** Abilities that a connector may lack. What it lacks must be declared here as well as in its capabilities. */
export type Ability =
  | 'server-conditions'
  | 'resumable'
  | 'move'
  | 'tree-move'
  | 'copy'
  | 'real-folders'
  /** Lists a folder beside a file of the same name. Beyond the capabilities: some servers of a protocol do, some do not. */
  | 'twins'
  | 'mode'
  | 'owner'
  | 'mtime'
  | 'symlinks'
  | 'special-nodes'
  | 'xattrs'
  | 'set-attributes'
  | 'attributes-in-listings'

/** One empty place on a cloud, seen by two clients. */
export interface Bench {
  readonly connector: Connector
  /** Another client of the same place; also what a new process would open. */
  readonly other: Connector
  /** Bytes of contents that the cloud has received from both; only for connectors with `resumable`. */
  readonly received: () => number
  readonly close: () => Promise<void>
}

export interface Candidate {
  readonly name: string
  readonly lacks: readonly Ability[]
  readonly open: () => Promise<Bench>
}

export function abilitiesOf(capabilities: Capabilities): Set<Ability> {
  const { posix } = capabilities
  const all: readonly (readonly [Ability, boolean])[] = [
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

export async function readAll(connector: Connector, place: RemotePlace, start: number, end: number, rev: string): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of connector.read(place, start, end, rev, signal)) chunks.push(chunk)
  return Buffer.concat(chunks)
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

/** A test that stands or falls with a declared ability. Without it there is nothing to skip: the lack is declared. */
export function testIf(condition: boolean): (name: string, run: () => Promise<void>) => void {
  return condition ? test : () => undefined
}

export function describeIf(condition: boolean): (name: string, group: () => void) => void {
  return condition ? describe : () => undefined
}
