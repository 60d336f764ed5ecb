import { CloudError } from '../../../common/errors.ts'
import type { RemoteEntry, RemotePlace } from '../../connectors/connector.ts'
import { shownName } from '../places.ts'
import type { SyncParts } from '../sync-parts.ts'
import { type RemoteRow, rootNode } from '../tree.ts'
import { oneAhead } from './one-ahead.ts'
import type { TakeIn } from './take-in.ts'
import type { VanishedFolder } from './vanished-folder.ts'

/** Entries taken in by one transaction: a few milliseconds. */
const chunk = 200
/** Losing more than this many rows, and more than half of them, needs a second listing. */
const suspiciousLoss = 100
const mostHidden = 10_000
/** A listing that contradicts more of our own fresh changes than this is refused as a whole. */
const mostDoubted = 100

export interface RunResult {
  /** Rows that a first listing misses and a second one must miss too, before they go. */
  readonly suspects: ReadonlySet<number>
  /** Rows whose attributes are to be asked for one by one (attributes=exact). */
  readonly added: readonly number[]
}

/**
 * One listing of one folder. Pages are taken in as they come, as far as they only add; changes and removals wait until
 * the listing is complete. What our own changes overtake meanwhile is left for the next listing. Any part of it may be
 * lost in a crash: each transaction states facts that hold by themselves, and `listed_at` comes last.
 */
export class ListingRun {
  readonly began: number
  readonly #parts: SyncParts
  readonly #takeIn: TakeIn
  readonly #vanished: VanishedFolder
  readonly #folder: number
  readonly #first: boolean
  readonly #moves: number
  /** Names that changes of ours confirmed since the listing began. */
  readonly #overtaken = new Set<string>()
  readonly #seen = new Set<number>()
  readonly #added: number[] = []
  /** Entries that contradict what was confirmed to us a moment ago. */
  readonly #doubted: RemoteEntry[] = []
  readonly #isRecent: (name: Buffer) => boolean
  #later: RemoteEntry[] = []
  #hidden: string[] = []
  #asked = 0

  /** @param isRecent names with a change of ours that the listing may be too old to show */
  constructor(parts: SyncParts, takeIn: TakeIn, vanished: VanishedFolder, folder: number, isRecent: (name: Buffer) => boolean) {
    this.#isRecent = isRecent
    this.#parts = parts
    this.#takeIn = takeIn
    this.#vanished = vanished
    this.#folder = folder
    this.began = parts.clock.now()
    this.#first = parts.tree.needNode(folder).listed_at === 0
    this.#moves = parts.places.moves
  }

  overtake(name: Buffer): void {
    this.#overtaken.add(key(name))
  }

  /** @param suspects what the last listing of this folder missed, if it missed too much. */
  async run(place: RemotePlace, suspects: ReadonlySet<number>, signal: AbortSignal): Promise<RunResult> {
    for await (const page of oneAhead(this.#parts.connector.list(place, signal))) {
      await this.#takeAll(page.entries, false)
      if (this.#hidden.length < mostHidden) this.#hidden = this.#hidden.concat(page.hidden)
    }
    for (const entry of this.#doubted) await this.#ask(place, entry, signal)
    const missing = await this.#reallyMissing(place, signal)
    const doubtful = await this.#removeMissing(missing, suspects)
    const later = this.#later
    this.#later = []
    await this.#takeAll(later, true)
    this.#parts.database.transaction(() => {
      this.#checkStillHere()
      this.#finish()
    })
    return { suspects: doubtful, added: this.#added }
  }

  async #takeAll(entries: readonly RemoteEntry[], complete: boolean): Promise<void> {
    const { database } = this.#parts
    const how = { complete, tell: !this.#first }
    for (let start = 0; start < entries.length; start += chunk) {
      database.transaction(() => {
        this.#checkStillHere()
        for (const entry of entries.slice(start, start + chunk)) {
          if (this.#overtaken.has(key(entry.name))) continue
          if (!complete && this.#contradicts(entry)) {
            this.#doubted.push(entry)
            continue
          }
          const taken = this.#takeIn.entry(this.#folder, entry, how)
          if (taken.kind === 'later') {
            this.#keepForLater(entry)
          } else {
            this.#seen.add(taken.row)
            if (taken.kind === 'added') this.#added.push(taken.row)
          }
        }
      })
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** It shows something else than what was confirmed to us a moment ago: another client's change, or the past. */
  #contradicts(entry: RemoteEntry): boolean {
    if (!this.#isRecent(entry.name)) return false
    const row = this.#parts.tree.remoteAt(this.#folder, entry.name, entry.type === 'folder')
    return row === undefined || (entry.type !== 'folder' && row.rev !== entry.rev)
  }

  /** What the provider says of one name counts more than its listing. True if it is there. */
  async #ask(folder: RemotePlace, { name, type }: Pick<RemoteEntry, 'name' | 'type'>, signal: AbortSignal): Promise<boolean> {
    if (++this.#asked > mostDoubted) throw new CloudError('unavailable', 'the listing does not show what was confirmed a moment ago')
    const place = { path: [...folder.path, name], id: null, parentId: folder.id }
    const { connector } = this.#parts
    const kind = type === 'folder' ? 'folder' : 'file'
    const entry = await connector.stat(place, connector.capabilities.realFolders ? 'any' : kind, signal)
    if (entry === null || this.#overtaken.has(key(name))) return false
    this.#keepForLater(entry)
    return true
  }

  /** The rows that the listing does not have, without those that are there all the same. */
  async #reallyMissing(place: RemotePlace, signal: AbortSignal): Promise<readonly RemoteRow[]> {
    const gone: RemoteRow[] = []
    for (const row of await this.#missing()) {
      if (!this.#isRecent(row.name) || !(await this.#ask(place, row, signal))) gone.push(row)
    }
    return gone
  }

  #keepForLater(entry: RemoteEntry): void {
    const row = this.#parts.tree.remoteAt(this.#folder, entry.name, entry.type === 'folder')
    if (row !== undefined && this.#seen.has(row.id)) {
      // A second object of the same name and kind has no name of its own to be seen by.
      this.#hidden.push(entry.name.toString())
      return
    }
    this.#later.push(entry)
    if (row !== undefined) this.#seen.add(row.id)
  }

  /** Rows that the listing does not have go; returns those that a second listing must confirm first. */
  async #removeMissing(missing: readonly RemoteRow[], suspects: ReadonlySet<number>): Promise<ReadonlySet<number>> {
    const doubted = this.#isSuspicious(missing) ? missing.filter((row) => !suspects.has(row.id)) : []
    const doubtful = new Set(doubted.map((row) => row.id))
    if (doubtful.size > 0) {
      this.#parts.log('warn', 'a listing misses most of a folder; it counts when a second one agrees', {
        folder: this.#folder,
        missing: missing.length,
      })
    }
    const sure = missing.filter((row) => !doubtful.has(row.id))
    for (let start = 0; start < sure.length; start += chunk) {
      const folders = this.#parts.database.transaction(() => {
        this.#checkStillHere()
        return sure.slice(start, start + chunk).filter((row) => this.#remove(row))
      })
      for (const row of folders) {
        const name = this.#parts.tree.nameOfRemote(row.id)
        if (name !== undefined) await this.#vanished.remove(name.id, row.id)
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
    return doubtful
  }

  async #missing(): Promise<RemoteRow[]> {
    const page = this.#parts.database.sql.prepare<[number, Buffer], RemoteRow>(
      'SELECT * FROM remote WHERE parent = ? AND name >= ? ORDER BY name LIMIT 500',
    )
    const missing = new Map<number, RemoteRow>()
    for (let from: Buffer = Buffer.alloc(0); ; ) {
      const rows = page.all(this.#folder, from)
      for (const row of rows) {
        const unconfirmed = row.content === 0 && row.node !== 0
        if (!this.#seen.has(row.id) && !unconfirmed) missing.set(row.id, row)
      }
      const last = rows.at(-1)
      if (last === undefined || rows.length < 500) return [...missing.values()]
      from = last.name
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  #isSuspicious(missing: readonly RemoteRow[]): boolean {
    let lost = 0
    let all = this.#seen.size
    for (const row of missing) {
      const below = row.type === 'folder' ? this.#vanished.namesBelow(row.node, 10 * suspiciousLoss) : 0
      lost += 1 + below
      all += 1 + below
    }
    return lost > suspiciousLoss && lost > all / 2
  }

  /** True if it is a folder, which needs more than one transaction. */
  #remove(known: RemoteRow): boolean {
    const { tree } = this.#parts
    const row = tree.remote(known.id)
    if (row === undefined || row.parent !== this.#folder || row.rev !== known.rev || this.#overtaken.has(key(row.name))) return false
    if (row.node === 0) {
      tree.deleteRemote(row.id)
      return false
    }
    const name = tree.nameOfRemote(row.id)
    if (name === undefined || this.#takeIn.isBusy(name) || !name.name.equals(shownName(row))) return false
    if (row.type === 'folder') return true
    this.#takeIn.remove(name, row)
    return false
  }

  /** The listing says nothing any more if the folder went away or may have been at another place while it ran. */
  #checkStillHere(): void {
    const { tree, places } = this.#parts
    if (places.moves !== this.#moves) throw new CloudError('busy', 'a folder was moved while its contents were listed')
    if (this.#folder !== rootNode && tree.namesOf(this.#folder).length === 0)
      throw new CloudError('stale', 'the folder was removed while it was listed')
  }

  #finish(): void {
    const { sql } = this.#parts.database
    sql.prepare('UPDATE node SET listed_at = ? WHERE id = ?').run(this.began, this.#folder)
    sql.prepare('DELETE FROM hidden WHERE folder = ?').run(this.#folder)
    const put = sql.prepare('INSERT OR IGNORE INTO hidden (folder, name) VALUES (?, ?)')
    for (const name of this.#hidden.slice(0, mostHidden)) put.run(this.#folder, name)
  }
}

function key(name: Buffer): string {
  return name.toString('latin1')
}
