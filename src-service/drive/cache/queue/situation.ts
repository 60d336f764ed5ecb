import type { Places } from '../places.ts'
import type { SyncParts } from '../sync-parts.ts'
import { isFolder, type NameRow, type RemoteRow } from '../tree.ts'
import { decide, type Decision, isInPlace, type Occupant, type Situation } from './decide.ts'
import type { LateChanges } from './late-changes.ts'
import type { QueueRow, QueueRows } from './queue-rows.ts'
import type { QuietTimes } from './quiet-times.ts'

/** Longest chain of names waiting for one another that is followed. */
const longestChain = 64

/** Collects what the next step of a name depends on, from the rows as they are now. */
export class Situations {
  readonly #parts: SyncParts
  readonly #places: Places
  readonly #rows: QueueRows
  readonly #quiet: QuietTimes
  readonly #late: LateChanges
  /** Names that make room for others: their names are in a circle. Found again after a crash. */
  readonly #aside = new Set<number>()
  readonly #twins

  constructor(parts: SyncParts, rows: QueueRows, quiet: QuietTimes, late: LateChanges) {
    this.#late = late
    this.#parts = parts
    this.#places = parts.places
    this.#rows = rows
    this.#quiet = quiet
    this.#twins = parts.database.sql.prepare<[number, number, number], RemoteRow>(
      "SELECT * FROM remote WHERE node = ? AND content = ? AND id <> ? AND type <> 'folder' LIMIT 1",
    )
  }

  /** undefined if the name is gone. */
  of(row: QueueRow): Situation | undefined {
    const { tree, connector } = this.#parts
    const name = row.name === null ? undefined : tree.nameById(row.name)
    const node = name === undefined ? undefined : tree.node(name.node)
    if (name === undefined || node === undefined) return undefined
    const remote = name.remote === null ? undefined : tree.remote(name.remote)
    const above = this.#above(name)
    return {
      name,
      node,
      remote: remote ?? null,
      unsettled: row.sent !== 0,
      folderThere: above !== 'absent',
      folderMoves: above === 'moves',
      occupant: this.#occupant(name, isFolder(node.mode), remote, row.target),
      twin: remote?.content === node.content ? remote : (this.#twins.get(node.id, node.content, remote?.id ?? 0) ?? null),
      quietUntil: this.#quiet.until(node.id),
      aside: this.#aside.has(name.id),
      capabilities: connector.capabilities,
    }
  }

  /**
   * The name waits for its place. If that wait would never end because the names wait in a circle, the one that holds the
   * place is to step aside: its id.
   */
  breakCircle(waiting: Situation): number | undefined {
    const holder = this.#holder(waiting)
    if (holder === undefined) return undefined
    const chain = [waiting.name.id]
    for (let at: NameRow | undefined = holder; at !== undefined && chain.length < longestChain; at = this.#waitsFor(at)) {
      if (this.#aside.has(at.id)) return undefined
      if (chain.includes(at.id)) {
        this.#aside.add(holder.id)
        return holder.id
      }
      chain.push(at.id)
    }
    return undefined
  }

  steppedAside(name: number): void {
    this.#aside.delete(name)
  }

  /** The name that this one waits for, if any. */
  #waitsFor(name: NameRow): NameRow | undefined {
    const row = this.#rows.ofName(name.id)
    const situation = row === undefined ? undefined : this.of(row)
    if (situation === undefined) return undefined
    const decision: Decision = decide(situation)
    if (decision.kind !== 'wait') return undefined
    return decision.for === 'place' ? this.#holder(situation) : this.#pendingFolder(name)
  }

  /** The name of ours whose object is at the place where this one is to be, or in a folder there that cannot go before it. */
  #holder({ occupant }: Situation): NameRow | undefined {
    if (occupant?.state === 'bound') return this.#parts.tree.nameOfRemote(occupant.row.id)
    return occupant?.state === 'doomed' && occupant.row.type === 'folder' ? this.#nameBelow(occupant.row.node) : undefined
  }

  /** A name whose object still lies in this folder, which has no name any more. */
  #nameBelow(folder: number): NameRow | undefined {
    for (const row of this.#parts.tree.remotesIn(folder)) {
      const name =
        this.#parts.tree.nameOfRemote(row.id) ?? (row.type === 'folder' && row.node !== 0 ? this.#nameBelow(row.node) : undefined)
      if (name !== undefined) return name
    }
    return undefined
  }

  /** Name of the nearest folder above that is not yet where it belongs. */
  #pendingFolder(name: NameRow): NameRow | undefined {
    for (const folder of this.#places.localAncestors(name.parent)) {
      const [own] = this.#parts.tree.namesOf(folder)
      if (own === undefined) return undefined
      const row = own.remote === null ? undefined : this.#parts.tree.remote(own.remote)
      if (row === undefined || !isInPlace(own, row)) return own
    }
    return undefined
  }

  #above(name: NameRow): 'there' | 'absent' | 'moves' {
    let moves = false
    for (const folder of this.#places.localAncestors(name.parent)) {
      const [own] = this.#parts.tree.namesOf(folder)
      const row = own?.remote == null ? undefined : this.#parts.tree.remote(own.remote)
      if (own === undefined || row === undefined) return 'absent'
      if (!isInPlace(own, row)) moves = true
    }
    return moves ? 'moves' : 'there'
  }

  /** @param target what the name's own steps have begun to make */
  #occupant(name: NameRow, folder: boolean, remote: RemoteRow | undefined, target: number | null): Occupant | null {
    const { tree, connector } = this.#parts
    if (remote !== undefined && isInPlace(name, remote)) return null
    const same = tree.remoteAt(name.parent, name.name, folder)
    const other = connector.capabilities.realFolders ? tree.remoteAt(name.parent, name.name, !folder) : undefined
    for (const row of [same, other]) {
      if (row !== undefined && row.id !== remote?.id && row.id !== target) return { row, state: this.#stateOf(row) }
    }
    return null
  }

  #stateOf(row: RemoteRow): Occupant['state'] {
    if (row.node === 0) return 'theirs'
    if (row.content === 0) return 'unsettled'
    const removal = this.#rows.ofRemote(row.id)
    if (removal !== undefined) {
      const isUnsettled = removal.sent !== 0 || this.#rows.targeting(row.id) !== undefined || this.#late.mayCome(row.id)
      return isUnsettled ? 'unsettled' : 'doomed'
    }
    const holder = this.#parts.tree.nameOfRemote(row.id)
    if (holder === undefined) return 'unsettled'
    // A name that has no reason to go elsewhere keeps its place: it is shown under another name than the provider's.
    return this.#rows.ofName(holder.id) === undefined ? 'theirs' : 'bound'
  }
}
