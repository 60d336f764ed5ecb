import type { Capabilities } from '../../connectors/connector.ts'
import { shownName } from '../places.ts'
import { fileType, isFile, isFolder, type NameRow, type NodeRow, type RemoteRow } from '../tree.ts'

/** What stands at the place where a name is to be at the provider. */
export interface Occupant {
  readonly row: RemoteRow
  /**
   * doomed: to be removed; theirs: another client's; bound: of another name of ours, which is to go elsewhere;
   * unsettled: perhaps made by a try of ours whose outcome is unknown.
   */
  readonly state: 'doomed' | 'theirs' | 'bound' | 'unsettled'
}

/** Everything the next step of one name depends on. */
export interface Situation {
  readonly name: NameRow
  readonly node: NodeRow
  /** Where the name is at the provider. */
  readonly remote: RemoteRow | null
  /** A try of unknown outcome is to be looked after first. */
  readonly unsettled: boolean
  /** The folder is at the provider. */
  readonly folderThere: boolean
  /** A folder above has not yet been moved to where it belongs. */
  readonly folderMoves: boolean
  readonly occupant: Occupant | null
  /** Another object at the provider that holds the node's bytes as they are now (hard links). */
  readonly twin: RemoteRow | null
  /** Ms until which the file is to stay quiet before it is uploaded; 0 = it may go. */
  readonly quietUntil: number
  /** The name has to make room for others first: names in a circle. */
  readonly aside: boolean
  readonly capabilities: Capabilities
}

export type Decision =
  | { readonly kind: 'done' }
  | { readonly kind: 'probe' }
  | { readonly kind: 'wait'; readonly for: 'folder' | 'place' }
  | { readonly kind: 'quiet'; readonly until: number }
  | { readonly kind: 'make-folder' }
  /** The object that was there before the name went away and came back is still the same: it becomes the name's again. */
  | { readonly kind: 'take-back'; readonly row: RemoteRow }
  /** Contents (or the facts of a link or special node) go to the name's place; `over` is the object that they replace. */
  | { readonly kind: 'upload'; readonly over: RemoteRow | null }
  | { readonly kind: 'copy'; readonly from: RemoteRow; readonly over: RemoteRow | null }
  | { readonly kind: 'move'; readonly from: RemoteRow; readonly over: RemoteRow | null }
  /** To a place that nobody else wants. */
  | { readonly kind: 'move-aside'; readonly from: RemoteRow }
  | { readonly kind: 'set-attributes'; readonly at: RemoteRow }
  /** The provider has no place for attributes: they stay on this machine. */
  | { readonly kind: 'note-attributes'; readonly at: RemoteRow }
  /** Something of another client is there: it is asked what. */
  | { readonly kind: 'conflict' }

const done: Decision = { kind: 'done' }

/** The next step that brings the provider nearer to what the name is here. Pure; asked again after each step. */
export function decide(situation: Situation): Decision {
  const { name, node, remote, capabilities } = situation
  if (situation.unsettled) return { kind: 'probe' }
  if (situation.aside && remote !== null) return { kind: 'move-aside', from: remote }
  if (!canCarry(node.mode, capabilities)) return done
  if (!situation.folderThere || situation.folderMoves) return { kind: 'wait', for: 'folder' }
  if (remote === null) return isFolder(node.mode) ? makeFolder(situation) : create(situation)
  if (!isInPlace(name, remote)) return goThere(situation, remote)
  if (isFile(node.mode) && remote.content !== node.content) return upload(situation, remote)
  if (node.attrs > Math.max(1, remote.attrs)) return attributes(situation, remote)
  return done
}

export function isInPlace(name: NameRow, remote: RemoteRow): boolean {
  return remote.parent === name.parent && shownName(remote).equals(name.name)
}

/** False for what the provider has no way to store: it is known on this machine only. */
export function canCarry(mode: number, capabilities: Capabilities): boolean {
  switch (mode & fileType.mask) {
    case fileType.file:
    case fileType.folder:
      return true
    case fileType.symlink:
      return capabilities.posix.symlinks
    default:
      return capabilities.posix.specialNodes
  }
}

function makeFolder({ occupant }: Situation): Decision {
  if (occupant === null) return { kind: 'make-folder' }
  return occupant.state === 'theirs' ? { kind: 'conflict' } : { kind: 'wait', for: 'place' }
}

function create(situation: Situation): Decision {
  const taken = whatIsThere(situation)
  if ('kind' in taken) return taken
  return contents(situation, taken.over)
}

function goThere(situation: Situation, remote: RemoteRow): Decision {
  const { node, capabilities } = situation
  const taken = whatIsThere(situation)
  if ('kind' in taken) return taken
  if (isFolder(node.mode)) {
    return taken.over === null ? { kind: 'move', from: remote, over: null } : { kind: 'wait', for: 'place' }
  }
  const changed = isFile(node.mode) && remote.content !== node.content
  // Where a move is a copy anyway, new contents need no move: the old object is removed afterwards.
  if (changed && capabilities.move !== 'tree') return contents(situation, taken.over)
  if (capabilities.move !== 'none') return { kind: 'move', from: remote, over: taken.over }
  return contents(situation, taken.over)
}

/** The object that may be replaced at the name's place, or why the name cannot go there now. */
function whatIsThere({ node, occupant }: Situation): { readonly over: RemoteRow | null } | Decision {
  if (occupant === null) return { over: null }
  switch (occupant.state) {
    case 'theirs':
      return { kind: 'conflict' }
    case 'bound':
    case 'unsettled':
      return { kind: 'wait', for: 'place' }
    case 'doomed':
      return (occupant.row.type === 'folder') === isFolder(node.mode) ? { over: occupant.row } : { kind: 'wait', for: 'place' }
  }
}

function contents(situation: Situation, over: RemoteRow | null): Decision {
  const { node, twin, capabilities } = situation
  if (over?.node === node.id && over.content === node.content) return { kind: 'take-back', row: over }
  // Of links and special nodes there are no contents to copy, only facts to make it from.
  if (twin !== null && capabilities.copy && isFile(node.mode)) return { kind: 'copy', from: twin, over }
  return upload(situation, over)
}

function upload({ node, remote, quietUntil }: Situation, over: RemoteRow | null): Decision {
  const changed = remote === null || remote.content !== node.content
  if (isFile(node.mode) && changed && quietUntil > 0) return { kind: 'quiet', until: quietUntil }
  return { kind: 'upload', over }
}

function attributes({ capabilities }: Situation, at: RemoteRow): Decision {
  const { posix } = capabilities
  const storable = posix.setAttributes && (posix.mode || posix.owner || posix.mtime || posix.xattrs)
  return storable ? { kind: 'set-attributes', at } : { kind: 'note-attributes', at }
}
