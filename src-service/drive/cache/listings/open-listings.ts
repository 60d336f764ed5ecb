import { pause } from '../../../common/clock.ts'
import { CloudError, isUnknown } from '../../../common/errors.ts'
import { keyOf } from '../places.ts'
import type { Listings } from '../sync.ts'
import type { SyncParts } from '../sync-parts.ts'
import { isFolder, rootNode } from '../tree.ts'
import { ExactAttributes } from './exact-attributes.ts'
import { ListingRun } from './listing-run.ts'
import { RecentChanges } from './recent-changes.ts'
import { Slots } from './slots.ts'
import { TakeIn } from './take-in.ts'
import { VanishedFolder } from './vanished-folder.ts'

/** Milliseconds after which a folder in use is listed again, behind. */
const freshFor = 15_000
const parallelListings = 4
const retryAfterFailure = 5000
const overtakenPause = 50
const confirmLossAfter = 2000
/** Listings under way or waiting, above which none is begun only for freshness. */
const mostPending = 200
/** A listing that our own moves overtook is begun anew so often, after so many milliseconds. */
const mostRepeats = 5
const repeatAfter = 200
/** Folders whose last attempt is remembered. */
const mostRemembered = 10_000
const none: ReadonlySet<number> = new Set()

export interface ListingParts extends SyncParts {
  /** `UploadQueue.nameChanged`: a folder that vanished has to be made again. */
  readonly nameChanged: (name: number) => void
}

/** Listings of the provider's folders, taken into the tree. */
export function openListings(parts: ListingParts): Listings {
  return new FolderListings(parts)
}

interface Listing {
  /** The one that runs; callers that need a younger one wait for `next`. */
  readonly promise: Promise<void>
  readonly run: { current: ListingRun | null }
  next: Promise<void> | null
}

class FolderListings implements Listings {
  readonly #parts: ListingParts
  readonly #takeIn: TakeIn
  readonly #vanished: VanishedFolder
  readonly #exact: ExactAttributes
  readonly #slots = new Slots(parallelListings)
  readonly #listings = new Map<number, Listing>()
  /** ms before which a folder is not listed behind again. */
  readonly #notBefore = new Map<number, number>()
  readonly #suspects = new Map<number, ReadonlySet<number>>()
  readonly #recent: RecentChanges
  readonly #unknownMove
  readonly #ended = new AbortController()

  constructor(parts: ListingParts) {
    this.#parts = parts
    this.#takeIn = new TakeIn(parts)
    this.#vanished = new VanishedFolder(parts, this.#takeIn, parts.nameChanged)
    this.#exact = new ExactAttributes(parts, this.#takeIn)
    this.#unknownMove = parts.database.sql.prepare<[number], { id: number }>(
      'SELECT queue.id FROM name JOIN queue ON queue.name = name.id WHERE name.node = ? AND queue.sent <> 0',
    )
    this.#recent = new RecentChanges(parts.clock)
    parts.places.onConfirmed((folder, name) => {
      this.#recent.add(folder, name)
      this.#listings.get(folder)?.run.current?.overtake(name)
    })
  }

  ready(folder: number): Promise<void> | undefined {
    const listedAt = this.#parts.tree.listedAt(folder)
    if (listedAt === 0) return this.#first(folder)
    const age = this.#parts.clock.now() - listedAt
    if (age > freshFor || age < 0) this.#behind(folder)
    return undefined
  }

  async refresh(folder: number, signal: AbortSignal): Promise<void> {
    const blocked = this.#parts.reachability.failFast()
    if (blocked !== undefined) throw blocked
    await untilAborted(this.#list(folder, true), signal)
  }

  async revalidate(node: number, signal: AbortSignal): Promise<void> {
    const { tree, places, connector, database, reachability } = this.#parts
    const blocked = reachability.failFast()
    if (blocked !== undefined) throw blocked
    if (isFolder(tree.needNode(node).mode)) {
      await this.refresh(node, signal)
      return
    }
    const known = places.placeOfNode(node)
    if (known === undefined || places.isMoving(node)) return
    const entry = await this.#asking(connector.stat(known.place, 'any', signal))
    if (entry !== null && entry.rev === known.row.rev) return
    const superseded = database.transaction(() => {
      const row = tree.remote(known.row.id)
      const name = row === undefined ? undefined : tree.nameOfRemote(row.id)
      if (row === undefined || name === undefined || row.rev !== known.row.rev || this.#takeIn.isBusy(name)) return false
      // What went elsewhere meanwhile, or is on its way, was asked for where it is not.
      const now = places.placeOfNode(node)
      if (now === undefined || keyOf(now.place) !== keyOf(known.place) || places.isMoving(node)) return false
      if (entry === null) this.#takeIn.remove(name, row)
      else if (entry.type === 'folder') return true
      else this.#takeIn.newVersion(name, row, entry)
      return true
    })
    if (superseded) throw new CloudError('stale', 'the provider has a newer version')
  }

  async close(): Promise<void> {
    this.#ended.abort(new CloudError('cancelled', 'the drive is closing'))
    await Promise.allSettled([...this.#listings.values()].flatMap((one) => (one.next === null ? [one.promise] : [one.promise, one.next])))
    await this.#exact.close()
  }

  /** The first listing of a folder: a caller waits for it, but not longer than the deadline; the listing itself goes on. */
  async #first(folder: number): Promise<void> {
    const { reachability, settings, tree, clock } = this.#parts
    const deadline = AbortSignal.timeout(settings.deadlines.metadataMs)
    for (;;) {
      const blocked = reachability.failFast()
      if (blocked !== undefined) throw blocked
      await untilAborted(this.#listings.get(folder)?.promise ?? this.#list(folder, true), deadline)
      if (tree.needNode(folder).listed_at !== 0) return
      // A listing that was overtaken by a move ends without having said anything.
      await pause(clock, overtakenPause, deadline)
      if (deadline.aborted) throw new CloudError('timeout', 'the folder could not be listed yet')
    }
  }

  #behind(folder: number): void {
    const now = this.#parts.clock.now()
    const notBefore = this.#notBefore.get(folder) ?? 0
    if (notBefore > now && notBefore - now <= freshFor) return
    if (this.#listings.size >= mostPending) return
    if (this.#listings.has(folder) || this.#parts.reachability.failFast() !== undefined || this.#parts.reachability.throttledUntil() > 0)
      return
    this.#remember(folder, now + freshFor)
    this.#list(folder, false).catch((caught: unknown) => {
      const error = CloudError.from(caught)
      this.#remember(folder, this.#parts.clock.now() + retryAfterFailure)
      if (!isUnknown(error.kind)) this.#parts.log('debug', 'a listing behind failed', { folder, kind: error.kind, error: error.message })
    })
  }

  #remember(folder: number, until: number): void {
    this.#notBefore.delete(folder)
    this.#notBefore.set(folder, until)
    const oldest = this.#notBefore.keys().next()
    if (this.#notBefore.size > mostRemembered && oldest.done !== true) this.#notBefore.delete(oldest.value)
  }

  /** A listing that begins from now on: a new one, or the one that follows the one under way. */
  #list(folder: number, urgent: boolean): Promise<void> {
    const before = this.#listings.get(folder)
    if (before?.next != null) return before.next
    const run: Listing['run'] = { current: null }
    const begin = (): Promise<void> => this.#slots.run(urgent, () => this.#untilAtRest(folder, run))
    const work = before === undefined ? begin() : before.promise.then(begin, begin)
    const promise = work.catch((caught: unknown) => this.#failed(folder, CloudError.from(caught)))
    const listing: Listing = { promise, run, next: null }
    if (before === undefined) this.#follow(folder, listing)
    else {
      before.next = promise
      before.promise
        .catch(() => undefined)
        .then(() => this.#follow(folder, listing))
        .catch(() => undefined)
    }
    return promise
  }

  #follow(folder: number, listing: Listing): void {
    this.#listings.set(folder, listing)
    const clear = (): void => {
      if (this.#listings.get(folder) === listing && listing.next === null) this.#listings.delete(folder)
    }
    listing.promise.then(clear, clear)
  }

  /** Folders that are being moved are listed when they have arrived. */
  async #untilAtRest(folder: number, holder: Listing['run']): Promise<void> {
    for (let repeats = 0; ; repeats++) {
      try {
        await this.#once(folder, holder)
        return
      } catch (caught) {
        const error = CloudError.from(caught)
        if (error.kind !== 'busy' || repeats === mostRepeats || this.#ended.signal.aborted) throw error
        await pause(this.#parts.clock, repeatAfter, this.#ended.signal)
      }
    }
  }

  async #once(folder: number, holder: Listing['run']): Promise<void> {
    const { places, tree } = this.#parts
    this.#ended.signal.throwIfAborted()
    if (this.#mayBeElsewhere(folder)) throw new CloudError('busy', 'the folder is being moved at the provider')
    const place = places.folderPlace(folder)
    // Not at the provider yet: what is here is all there is.
    if (place === undefined) return
    tree.needNode(folder)
    const run = new ListingRun(this.#parts, this.#takeIn, this.#vanished, folder, (name) => this.#recent.has(folder, name))
    holder.current = run
    try {
      const result = await this.#asking(run.run(place, this.#suspects.get(folder) ?? none, this.#ended.signal))
      this.#remember(folder, run.began + freshFor)
      if (result.suspects.size > 0) this.#doubt(folder, result.suspects)
      else this.#suspects.delete(folder)
      this.#exact.ask(result.added)
    } finally {
      holder.current = null
    }
  }

  /** Too much was missing: the second listing follows soon. */
  #doubt(folder: number, suspects: ReadonlySet<number>): void {
    this.#suspects.set(folder, suspects)
    this.#parts.clock.after(confirmLossAfter, () => {
      if (!this.#ended.signal.aborted && this.#suspects.has(folder)) this.#list(folder, false).catch(() => undefined)
    })
  }

  /** True while a move of this folder, or of one above it, has an unknown outcome. */
  #mayBeElsewhere(folder: number): boolean {
    if (folder === rootNode) return false
    return [folder, ...this.#parts.places.remoteAncestors(folder)].some((one) => this.#unknownMove.get(one) !== undefined)
  }

  /** A folder that is not there is its parent's matter: only a listing of the parent can say so. */
  async #failed(folder: number, error: CloudError): Promise<void> {
    if (error.kind !== 'not-found' && error.kind !== 'not-a-folder') throw error
    if (folder === rootNode) {
      throw new CloudError('unavailable', `the folder or bucket of this mount does not exist: ${error.message}`, { cause: error })
    }
    const row = this.#parts.places.folderRow(folder)
    if (row !== undefined) await this.#list(row.parent, true)
    if (this.#parts.tree.namesOf(folder).length === 0) throw new CloudError('stale', 'the folder is gone at the provider')
    throw new CloudError('unavailable', 'the provider lists the folder, but not what is in it', { cause: error })
  }

  async #asking<T>(call: Promise<T>): Promise<T> {
    try {
      return await call
    } catch (caught) {
      const error = CloudError.from(caught)
      this.#parts.reachability.failed(error)
      throw error
    }
  }
}

/** Rejects when the signal ends the wait; the work itself goes on. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      work.catch(() => undefined)
      reject(CloudError.from(signal.reason))
    }
    if (signal.aborted) {
      onAbort()
      return
    }
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
