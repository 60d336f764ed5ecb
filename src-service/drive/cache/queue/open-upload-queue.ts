import type { Condition, Transfer } from '../../../common/drive-state.ts'
import { CloudError } from '../../../common/errors.ts'
import { TakeIn } from '../listings/take-in.ts'
import type { Listings, UploadQueue } from '../sync.ts'
import type { SyncParts } from '../sync-parts.ts'
import { isFile } from '../tree.ts'
import { Bursts } from './bursts.ts'
import { LateChanges } from './late-changes.ts'
import { Ledger } from './ledger.ts'
import { unpackHandle } from './identity.ts'
import type { QueueParts } from './queue-parts.ts'
import { type QueueRow, QueueRows } from './queue-rows.ts'
import { QuietTimes } from './quiet-times.ts'
import { Runner } from './runner.ts'
import { Situations } from './situation.ts'
import { takeTheirs } from './take-theirs.ts'
import { TransferList } from './transfer-list.ts'
import { Waiters } from './waiters.ts'

export interface UploadQueueParts extends SyncParts {
  readonly listings: Listings
}

/** Brings the provider to what the tree is. The queue's rows outlive every crash; work goes on from them at once. */
export function openUploadQueue(parts: UploadQueueParts): UploadQueue {
  return new Queue(parts)
}

/** Milliseconds. */
const gatherMs = 20

/** A version of a node that somebody waits for. */
interface Wanted {
  readonly node: number
  readonly content: number
}

class Queue implements UploadQueue {
  readonly #parts: QueueParts
  readonly #runner: Runner
  readonly #list: TransferList
  readonly #confirming = new Waiters<Wanted>()
  readonly #draining = new Waiters<'drain'>()
  readonly #namesAtPlace
  /** Closed files whose rows do not say so yet. */
  readonly #touched = new Set<number>()
  #cancelTouching: (() => void) | undefined

  constructor(sync: UploadQueueParts) {
    const rows = new QueueRows(sync.database)
    const takeIn = new TakeIn(sync)
    const quiet = new QuietTimes(sync.contents, sync.clock, sync.settings.writeBackSeconds * 1000)
    const late = new LateChanges(sync.clock, sync.settings.deadlines.metadataMs)
    // What a predecessor had begun.
    for (const target of rows.targets()) late.begun(target)
    if (!sync.connector.capabilities.atomicMove) for (const source of rows.sources()) late.begun(source)
    const ledger = new Ledger(sync, rows, takeIn, late)
    const bursts = new Bursts(sync.clock, quiet)
    this.#parts = { ...sync, rows, takeIn, quiet, ledger, late, bursts, situations: new Situations(sync, rows, quiet, late) }
    this.#runner = new Runner(this.#parts, {
      stepped: (node) => {
        this.#stepped(node)
      },
      changed: () => {
        this.#changed()
      },
    })
    this.#list = new TransferList(this.#parts, this.#runner.running)
    this.#namesAtPlace = sync.database.sql.prepare<[number, Buffer], { id: number; node: number }>(
      'SELECT id, node FROM remote WHERE parent = ? AND name = ?',
    )
    this.#runner.start()
  }

  nameChanged(name: number): void {
    const { tree, rows } = this.#parts
    const node = tree.node(tree.nameById(name)?.node ?? 0)
    if (node === undefined) return
    rows.wantName(name, this.#dueAt(node.id, isFile(node.mode)))
    this.#parts.bursts.happened()
    this.#wake()
  }

  nodeChanged(node: number): void {
    const { tree, rows } = this.#parts
    const row = tree.node(node)
    if (row === undefined) return
    const due = this.#dueAt(node, isFile(row.mode))
    for (const name of tree.namesOf(node)) rows.wantContents(name.id, due)
    this.#wake()
  }

  nameRemoved(nameId: number): void {
    const { tree, rows, ledger, quiet, listings, database } = this.#parts
    const name = tree.nameById(nameId)
    if (name === undefined) return
    const row = rows.ofName(nameId)
    if (name.remote !== null && !ledger.handOver(name)) ledger.doom(name.remote, row?.target === name.remote ? row : undefined)
    if (row !== undefined) this.#dropRow(row, name.remote)
    if (tree.node(name.node)?.nlink === 1) quiet.uploaded(name.node)
    this.#parts.bursts.happened()
    for (const there of this.#namesAtPlace.all(name.parent, name.name)) {
      rows.wakeRemote(there.id)
      // Another client's object was hidden behind the name: it can be shown now.
      if (there.node === 0) {
        database.afterCommit(() => {
          listings.refresh(name.parent, AbortSignal.timeout(60_000)).catch(() => undefined)
        })
      }
    }
    this.#wake()
  }

  touched(node: number): void {
    const { quiet, contents } = this.#parts
    quiet.touch(node)
    if (contents.writerCount(node) > 0) return
    this.#touched.add(node)
    // Without a quiet time the row may be due again before the gathering ends.
    if (quiet.quietMs === 0) this.#writeTouched()
    else this.#cancelTouching ??= this.#parts.clock.after(gatherMs, () => this.#writeTouched())
  }

  /**
   * Quiet times are gathered: a row that says an earlier one is looked at too early, and then put off by what memory says.
   * Before anything that makes rows due sooner.
   */
  #writeTouched(): void {
    const { rows, quiet, database, clock } = this.#parts
    this.#cancelTouching?.()
    this.#cancelTouching = undefined
    if (this.#touched.size === 0) return
    const until = clock.now() + quiet.quietMs
    database.transaction(() => {
      for (const node of this.#touched) rows.quietUntil(node, until)
    })
    this.#touched.clear()
    this.#wake()
  }

  async confirmed(node: number, signal: AbortSignal): Promise<void> {
    const { rows, database, quiet, tree } = this.#parts
    const state = this.#list.stateOf(node)
    const content = tree.node(node)?.content
    if (state === undefined || content === undefined) return
    if (state.state === 'parked') throw new CloudError('io', `cannot be uploaded: ${state.reason}`)
    this.#writeTouched()
    const done = quiet.hurry(node)
    try {
      database.transaction(() => rows.hurry(node))
      this.#runner.wake()
      await this.#confirming.wait({ node, content }, signal)
    } finally {
      done()
    }
  }

  stateOf(node: number): { readonly state: 'queued' | 'uploading' | 'parked'; readonly reason: string } | undefined {
    return this.#list.stateOf(node)
  }

  status(): { readonly files: number; readonly bytes: number; readonly parked: number; readonly uploading: number } {
    return this.#list.status()
  }

  transfers(limit: number): readonly Transfer[] {
    return this.#list.list(limit)
  }

  handles(): readonly string[] {
    return this.#parts.rows.handles().map(({ handle, name }) => (name === null ? handle : unpackHandle(handle).handle))
  }

  retry(id: number | 'all'): void {
    this.#writeTouched()
    this.#parts.database.transaction(() => this.#parts.rows.retry(id))
    this.#parts.reachability.retry()
    this.#runner.wake()
    this.#changed()
  }

  async takeTheirs(name: number, signal: AbortSignal): Promise<void> {
    await takeTheirs(this.#parts, name, signal)
    this.#wake()
  }

  pause(paused: boolean): void {
    this.#runner.pause(paused)
  }

  async drain(signal: AbortSignal): Promise<void> {
    const { rows, database, quiet } = this.#parts
    this.#writeTouched()
    quiet.draining++
    try {
      database.transaction(() => rows.hurryAll())
      this.#runner.wake()
      if (rows.counts().all > 0) {
        this.#failIfStuck()
        await this.#draining.wait('drain', signal)
      }
    } finally {
      quiet.draining--
    }
  }

  conditions(): readonly Condition[] {
    return [...(this.#runner.paused ? [{ kind: 'paused' } as const] : []), ...this.#parts.reachability.conditions()]
  }

  canUpload(): boolean {
    return !this.#runner.paused && this.#parts.reachability.failFast() === undefined
  }

  async close(): Promise<void> {
    this.#writeTouched()
    const closing = new CloudError('cancelled', 'the drive is closing')
    for (const wanted of this.#confirming.keys()) this.#confirming.reject(wanted, closing)
    this.#draining.reject('drain', closing)
    await this.#runner.close()
  }

  /** A name went away with its row: what a try of it may have made, or will make, is to be removed too. */
  #dropRow(row: QueueRow, remote: number | null): void {
    const { rows, ledger } = this.#parts
    if (row.target !== remote) ledger.doomTarget(row)
    if (row.handle !== null) rows.abandon(unpackHandle(row.handle).handle)
    rows.remove(row.id)
    this.#parts.database.afterCommit(() => {
      this.#runner.stopUpload(row.id)
    })
  }

  #dueAt(node: number, file: boolean): number {
    const { quiet, clock } = this.#parts
    if (!file || quiet.quietMs === 0 || quiet.draining > 0 || quiet.isUrgent(node)) return 0
    return clock.now() + quiet.quietMs
  }

  #wake(): void {
    this.#parts.database.afterCommit(() => {
      this.#runner.wakeSoon()
      this.#changed()
    })
  }

  #changed(): void {
    this.#list.changed()
    this.#parts.onChange()
    if (this.#draining.keys().length === 0) return
    if (this.#parts.rows.counts().all === 0) this.#draining.resolve('drain')
    else this.#rejectIfStuck()
  }

  /** Whoever waits for a version of the node gets it as soon as the provider has it, whatever was written since. */
  #stepped(node: number): void {
    for (const wanted of this.#confirming.keys()) {
      if (wanted.node !== node) continue
      const state = this.#list.stateOf(node)
      if (state === undefined || this.#isThere(wanted)) this.#confirming.resolve(wanted)
      else if (state.state === 'parked') this.#confirming.reject(wanted, new CloudError('io', `cannot be uploaded: ${state.reason}`))
    }
  }

  /** All names of the node have this version, or a newer one, at the provider. */
  #isThere({ node, content }: Wanted): boolean {
    const { tree } = this.#parts
    return tree.namesOf(node).every((name) => {
      const row = name.remote === null ? undefined : tree.remote(name.remote)
      return row !== undefined && row.content >= content
    })
  }

  #failIfStuck(): void {
    const error = this.#stuck()
    if (error !== undefined) throw error
  }

  #rejectIfStuck(): void {
    const error = this.#stuck()
    if (error !== undefined) this.#draining.reject('drain', error)
  }

  /** Only parked items are left: no waiting helps. */
  #stuck(): CloudError | undefined {
    const { all, parked } = this.#parts.rows.counts()
    return parked > 0 && parked === all
      ? new CloudError('busy', `${parked} items cannot be uploaded; see the list of transfers`)
      : undefined
  }
}
