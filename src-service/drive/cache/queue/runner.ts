import { CloudError, isUnknown } from '../../../common/errors.ts'
import { afterError } from './after-error.ts'
import { isCopyingElsewhere } from './copy-folder.ts'
import { decide, type Decision, type Situation } from './decide.ts'
import { unpackHandle } from './identity.ts'
import { isAnswer } from './late-changes.ts'
import type { QueueParts, StepResult } from './queue-parts.ts'
import { type QueueRow, untilWoken } from './queue-rows.ts'
import { decideRemoval } from './remove-step.ts'
import { areApart, type Footprint, footprintOf, footprintOfRemoval, hasRoom, type Running } from './running.ts'
import { runStep, type Work } from './steps.ts'

const mostParallel = 8
/** Rows looked at in one turn of the loop. */
const mostLookedAt = 100
const batch = 64
/** Enough where nothing is held up: those that run, and the next one. */
const firstBatch = 12
/** What waits for something else is looked at again this often, whatever happened. */
const sweepEvery = 5000
const sweepWhileBusyEvery = 30_000
const longestSleep = 30_000
/** Steps in a row that succeed without bringing a row to its end. */
const mostSteps = 12
const gatherMs = 20

export interface RunnerEvents {
  /** A step of a row of this node ended. */
  stepped(node: number): void
  changed(): void
}

type Look =
  /** Nothing to do now; its row says when to look again, or is gone. */
  | { readonly kind: 'passed' }
  /** It has to wait for something that runs. */
  | { readonly kind: 'held' }
  | { readonly kind: 'start'; readonly work: Work; readonly footprint: Footprint }

/** Takes rows that are due, one step at a time, some in parallel. Holds nothing that the rows do not say. */
export class Runner {
  readonly running = new Map<number, Running>()
  readonly #parts: QueueParts
  readonly #events: RunnerEvents
  readonly #steps = new Map<number, number>()
  readonly #unsettledMove
  #paused: boolean
  #closed = false
  #scheduled = false
  #cancelSoon: (() => void) | null = null
  #cancelTimer: (() => void) | null = null
  #sweptAt = 0
  #idle: (() => void)[] = []

  constructor(parts: QueueParts, events: RunnerEvents) {
    this.#parts = parts
    this.#events = events
    this.#paused = parts.settings.held === true || parts.database.fact('queue.paused') === '1'
    this.#unsettledMove = parts.database.sql.prepare<[number], { id: number }>(
      'SELECT queue.id FROM name JOIN queue ON queue.name = name.id WHERE name.node = ? AND queue.sent <> 0',
    )
    parts.reachability.onOpen(() => this.wake())
  }

  get paused(): boolean {
    return this.#paused
  }

  start(): void {
    const { database, rows, clock } = this.#parts
    database.transaction(() => {
      rows.wakeAll()
      rows.forgetTimesAhead(clock.now())
    })
    this.wake()
  }

  /** For changes of which nothing need begin at once: a look at the queue serves all that come in this time. */
  wakeSoon(): void {
    if (this.#scheduled || this.#closed) return
    this.#cancelSoon ??= this.#parts.clock.after(gatherMs, () => this.wake())
  }

  wake(): void {
    if (this.#scheduled || this.#closed) return
    this.#scheduled = true
    this.#cancelSoon?.()
    this.#cancelSoon = null
    setImmediate(() => {
      this.#scheduled = false
      this.#turn()
    })
  }

  pause(paused: boolean): void {
    if (paused === this.#paused) return
    this.#paused = paused
    this.#parts.database.setFact('queue.paused', paused ? '1' : '0')
    if (paused) for (const one of this.running.values()) one.stop.abort(new CloudError('cancelled', 'paused'))
    this.wake()
    this.#events.changed()
  }

  /**
   * The name of this row is gone: its upload need not go on. It ends at the next bytes that it wants; once it has all of them
   * its answer is waited for, since the provider may make the object after nobody listens any more, and after it was looked for.
   */
  stopUpload(id: number): void {
    const one = this.running.get(id)
    if (one !== undefined) one.isUnwanted = true
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#cancelTimer?.()
    for (const one of this.running.values()) one.stop.abort(new CloudError('cancelled', 'the drive is closing'))
    if (this.running.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  #turn(): void {
    if (this.#closed) return
    const { reachability, clock } = this.#parts
    const heldUntil = Math.max(reachability.throttledUntil(), this.#parts.bursts.until())
    if (this.#paused || reachability.failFast() !== undefined) return
    if (heldUntil > 0) {
      this.#sleepUntil(heldUntil)
      return
    }
    const starts: [QueueRow, Look & { kind: 'start' }][] = []
    const now = clock.now()
    const more = this.#parts.database.transaction(() => this.#lookAtDue(now, starts))
    for (const [row, look] of starts) this.#launch(row, look)
    if (more) this.wake()
    else this.#sleep(now)
  }

  /** Returns true if there may be more to look at right away. */
  #lookAtDue(now: number, starts: [QueueRow, Look & { kind: 'start' }][]): boolean {
    const { rows, connector, clock } = this.#parts
    rows.followClock(clock)
    const most = Math.max(1, Math.min(mostParallel, connector.capabilities.parallelism))
    let left = mostLookedAt
    let offset = 0
    while (this.running.size + starts.length < most) {
      const size = left === mostLookedAt ? firstBatch : batch
      const due = rows.due(now, size, offset)
      for (const row of due) {
        if (left-- === 0) return true
        if (this.running.has(row.id)) {
          offset++
          continue
        }
        const look = this.#look(row, starts, most)
        if (look.kind !== 'passed') offset++
        if (look.kind === 'start') starts.push([row, look])
        if (this.running.size + starts.length >= most) return false
      }
      if (due.length < size) return false
    }
    return false
  }

  #look(row: QueueRow, starts: readonly [QueueRow, Look & { kind: 'start' }][], most: number): Look {
    const found = this.#find(row)
    if (found === undefined) return { kind: 'passed' }
    const others = [...this.running.values(), ...starts.map(([, look]) => look.footprint)]
    if (others.some((other) => !areApart(found.footprint, other))) return { kind: 'held' }
    if (found.footprint.above.some((folder) => this.#unsettledMove.get(folder) !== undefined)) {
      this.#parts.rows.wait(row.id, untilWoken, 'waits for the move of a folder above')
      return { kind: 'passed' }
    }
    return hasRoom(others, found.footprint, most) ? { kind: 'start', ...found } : { kind: 'held' }
  }

  /** What a row does next; undefined if nothing now, which its row then says. */
  #find(row: QueueRow): { readonly work: Work; readonly footprint: Footprint } | undefined {
    if (row.name !== null) return this.#findForName(row)
    if (row.remote !== null) return this.#findForRemoval(row)
    return {
      work: { kind: 'abandon', handle: row.handle ?? '' },
      footprint: { node: 0, remotes: [], place: '', above: [], folder: 0, bytes: 0 },
    }
  }

  #findForName(row: QueueRow): { readonly work: Work; readonly footprint: Footprint } | undefined {
    const { situations, rows, tree, ledger } = this.#parts
    const situation = situations.of(row)
    if (situation === undefined) {
      this.#end(row, 0)
      return undefined
    }
    const decision = decide(situation)
    if (isCopyingElsewhere(this.#parts, row, situation, decision)) {
      ledger.doomTarget(row)
      rows.settled(row.id)
      this.wake()
      return undefined
    }
    switch (decision.kind) {
      case 'done':
        this.#end(row, situation.node.id)
        return undefined
      case 'note-attributes':
        tree.updateRemote({ ...decision.at, attrs: situation.node.attrs })
        this.#end(row, situation.node.id)
        return undefined
      case 'take-back':
        ledger.takeBack(situation.name, decision.row)
        this.wake()
        return undefined
      case 'quiet':
        this.#steps.delete(row.id)
        rows.wait(row.id, decision.until, 'waits until the file is closed and quiet')
        return undefined
      case 'wait':
        this.#waitFor(row, situation, decision)
        return undefined
      default:
        return { work: { kind: 'name', situation, decision }, footprint: footprintOf(this.#parts, situation, decision) }
    }
  }

  #findForRemoval(row: QueueRow): { readonly work: Work; readonly footprint: Footprint } | undefined {
    const { rows, tree } = this.#parts
    const decision = decideRemoval(this.#parts, row)
    switch (decision.kind) {
      case 'drop': {
        const remote = row.remote === null ? undefined : tree.remote(row.remote)
        rows.remove(row.id)
        if (remote !== undefined && remote.node !== 0 && tree.nameOfRemote(remote.id) === undefined) tree.deleteRemote(remote.id)
        this.#afterCommit()
        return undefined
      }
      case 'wait':
        rows.wait(row.id, decision.until, decision.reason)
        return undefined
      default:
        return { work: { kind: 'removal', decision }, footprint: footprintOfRemoval(this.#parts, decision) }
    }
  }

  #waitFor(row: QueueRow, situation: Situation, decision: Decision & { kind: 'wait' }): void {
    const { rows, situations } = this.#parts
    rows.wait(row.id, untilWoken, decision.for === 'folder' ? 'waits for its folder' : 'waits until its place is free')
    if (decision.for !== 'place') return
    const steppingAside = situations.breakCircle(situation)
    if (steppingAside === undefined) return
    rows.wantName(steppingAside, 0)
    this.wake()
  }

  /** The provider agrees with the name. */
  #end(row: QueueRow, node: number): void {
    const { rows, ledger, quiet } = this.#parts
    ledger.doomTarget(row)
    if (row.handle !== null) rows.abandon(unpackHandle(row.handle).handle)
    rows.remove(row.id)
    this.#steps.delete(row.id)
    if (node !== 0) quiet.uploaded(node)
    this.#afterCommit(node)
  }

  #afterCommit(node = 0): void {
    this.#parts.database.afterCommit(() => {
      if (node !== 0) this.#events.stepped(node)
      this.#events.changed()
    })
  }

  #launch(row: QueueRow, { work, footprint }: Look & { kind: 'start' }): void {
    const one: Running = { ...footprint, row, stop: new AbortController(), claimed: [], isUnwanted: false, done: 0 }
    this.running.set(row.id, one)
    const step = {
      signal: one.stop.signal,
      isUnwanted: () => one.isUnwanted,
      progress: (bytes: number) => {
        one.done = bytes
        this.#events.changed()
      },
      claim: (remote: number) => {
        one.remotes.push(remote)
        one.claimed.push(remote)
        this.#parts.late.begun(remote)
      },
    }
    this.#events.changed()
    runStep(this.#parts, row, work, step)
      .then(
        (result) => {
          this.#succeeded(one, result)
        },
        (caught: unknown) => {
          this.#failed(one, CloudError.from(caught))
        },
      )
      .catch((caught: unknown) => {
        this.#parts.log('error', 'the queue could not write down how a step ended', { error: String(caught) })
      })
      .finally(() => {
        this.running.delete(row.id)
        if (one.node !== 0) this.#events.stepped(one.node)
        if (this.running.size === 0) for (const resolve of this.#idle.splice(0)) resolve()
        this.wake()
        if (!this.#closed) this.#events.changed()
      })
  }

  #succeeded({ row, claimed }: Running, result: StepResult): void {
    if (this.#closed) return
    const { database, rows, clock, late } = this.#parts
    if (result.kind === 'wait') this.#steps.delete(row.id)
    else for (const remote of claimed) late.forget(remote)
    const steps = (this.#steps.get(row.id) ?? 0) + 1
    this.#steps.set(row.id, steps)
    database.transaction(() => {
      if (rows.get(row.id) === undefined) this.#steps.delete(row.id)
      else if (result.kind === 'wait') rows.wait(row.id, result.until, result.reason)
      else if (steps < mostSteps) rows.again(row.id)
      else this.#slowDown(row, clock.now())
    })
  }

  /** Steps that succeed again and again and change nothing: never a busy loop. */
  #slowDown(row: QueueRow, now: number): void {
    this.#steps.delete(row.id)
    this.#parts.rows.failed(row.id, {
      not_before: now + 10_000,
      tries: row.tries + 1,
      refusals: row.refusals,
      parked: 0,
      reason: 'does not come to rest',
    })
  }

  #failed({ row, node, claimed }: Running, error: CloudError): void {
    const { database, rows, reachability, clock, log, late } = this.#parts
    if (isAnswer(error)) for (const remote of claimed) late.answered(remote)
    reachability.failed(error)
    if (this.#closed) return
    database.transaction(() => {
      const now = rows.get(row.id)
      if (now === undefined) return
      const next = afterError(now, error, clock.now(), Math.random)
      switch (next.kind) {
        case 'later':
          rows.wait(row.id, next.notBefore, isUnknown(error.kind) && error.kind !== 'cancelled' ? error.message : now.reason)
          return
        case 'retry':
          rows.failed(row.id, { ...now, not_before: next.notBefore, tries: next.tries, reason: next.reason })
          return
        case 'refused':
          rows.failed(row.id, {
            ...now,
            not_before: next.notBefore,
            refusals: next.refusals,
            parked: next.parked ? 1 : 0,
            reason: next.reason,
          })
          if (next.parked) this.#parked(now, node, next.reason)
      }
    })
    log('debug', 'a step of the queue failed', { kind: error.kind, error: error.message })
  }

  #parked(row: QueueRow, node: number, reason: string): void {
    const { tree, alert, database } = this.#parts
    const name = row.name === null ? undefined : tree.nameById(row.name)
    const path = name === undefined ? `item ${row.id}` : tree.pathOf(name)
    database.afterCommit(() => {
      alert('upload-parked', `${path}: ${reason}`)
    })
    this.#afterCommit(node)
  }

  /**
   * Sleeps until the next row is due, or until what waits for something else is to be looked at again.
   * @param now up to which rows were looked at: what became due since then must not be missed
   */
  #sleep(now: number): void {
    const { rows, database } = this.#parts
    const blocked = rows.someBlocked()
    const every = this.running.size === 0 ? sweepEvery : sweepWhileBusyEvery
    if (blocked && Math.abs(now - this.#sweptAt) >= every) {
      this.#sweptAt = now
      database.transaction(() => rows.wakeAll())
      this.wake()
      return
    }
    const next = Math.min(rows.nextAfter(now) ?? Infinity, blocked ? Math.max(now, this.#sweptAt + every) : Infinity)
    if (next !== Infinity) this.#sleepUntil(next)
  }

  #sleepUntil(time: number): void {
    this.#cancelTimer?.()
    const wait = Math.max(1, Math.min(longestSleep, time - this.#parts.clock.now()))
    this.#cancelTimer = this.#parts.clock.after(wait, () => {
      this.wake()
    })
  }
}
