import { rootNode } from '../tree.ts'
import type { Decision, Situation } from './decide.ts'
import type { QueueParts } from './queue-parts.ts'
import type { QueueRow } from './queue-rows.ts'
import type { RemovalDecision } from './remove-step.ts'

/** More bytes than this make an upload big: some places are kept for the small ones. */
export const bigUpload = 16 * 1024 * 1024

/** What a step touches, so that no two touch the same at once. */
export interface Footprint {
  /** The node whose bytes or names it handles; 0 = none. */
  readonly node: number
  readonly remotes: number[]
  /** Where it may make something of which there is no row yet: folder and name. Its own name may have gone elsewhere by now. */
  readonly place: string
  /** Folders above the places it reads and writes. */
  readonly above: readonly number[]
  /** The folder that it moves or removes as a whole; 0 = none. */
  readonly folder: number
  readonly bytes: number
}

export interface Running extends Footprint {
  readonly row: QueueRow
  readonly stop: AbortController
  /** Rows whose objects it makes or changes. */
  readonly claimed: number[]
  /** No version is wanted by now: an upload may end. */
  isUnwanted: boolean
  done: number
}

export function footprintOf(parts: QueueParts, situation: Situation, decision: Decision): Footprint {
  const { name, node, remote } = situation
  const { places } = parts
  const over = 'over' in decision ? decision.over : null
  const from = 'from' in decision ? decision.from : remote
  const movesFolder = (decision.kind === 'move' || decision.kind === 'move-aside') && remote?.type === 'folder'
  return {
    node: node.id,
    remotes: [remote, over, from, situation.occupant?.row].flatMap((row) => (row == null ? [] : [row.id])),
    place: `${name.parent}/${name.name.toString('latin1')}`,
    above: [...places.localAncestors(name.parent), ...(from === null ? [] : places.remoteAncestors(from.parent))],
    folder: movesFolder ? node.id : 0,
    bytes: decision.kind === 'upload' ? node.size : 0,
  }
}

export function footprintOfRemoval({ places }: QueueParts, decision: RemovalDecision & { readonly kind: 'remove' | 'keep' }): Footprint {
  const { row } = decision
  return {
    node: 0,
    remotes: [row.id],
    place: '',
    above: places.remoteAncestors(row.parent),
    folder: row.type === 'folder' ? row.node : 0,
    bytes: 0,
  }
}

/** True if both may run at the same time. */
export function areApart(one: Footprint, other: Footprint): boolean {
  if (one.node !== 0 && one.node === other.node) return false
  if (one.remotes.some((id) => other.remotes.includes(id))) return false
  if (one.place !== '' && one.place === other.place) return false
  return !isBelow(one, other.folder) && !isBelow(other, one.folder)
}

function isBelow(footprint: Footprint, folder: number): boolean {
  return folder !== 0 && folder !== rootNode && (footprint.above.includes(folder) || footprint.folder === folder)
}

/** Bounds how many steps run, and keeps places for small uploads beside big ones. */
export function hasRoom(running: Iterable<Footprint>, next: Footprint, most: number): boolean {
  let all = 0
  let big = 0
  for (const one of running) {
    all++
    if (one.bytes > bigUpload) big++
  }
  if (all >= most) return false
  return next.bytes <= bigUpload || big < Math.max(1, Math.floor(most / 2))
}
