import type { Clock } from '../../../common/clock.ts'
import type { DriveDatabase } from '../database.ts'

export interface QueueRow {
  readonly id: number
  /** name.id: the provider is to agree with this name. */
  readonly name: number | null
  /** remote.id: this object is to be removed. */
  readonly remote: number | null
  readonly not_before: number
  readonly tries: number
  readonly refusals: number
  readonly parked: number
  readonly reason: string
  readonly sent: number
  readonly target: number | null
  readonly sent_size: number
  readonly sent_s: number
  readonly sent_n: number
  readonly handle: string | null
}

/** What a try was to make, of which nobody knows whether it did. */
export interface UnknownTry extends Pick<QueueRow, 'sent' | 'sent_size' | 'sent_s' | 'sent_n'> {
  /** Told by the object's row alone, which may not have the time that was sent: what is known already outweighs it. */
  readonly guessed?: true
}

/** What a try sends where, kept so that its outcome can be found out if the answer is lost. */
export interface Sent {
  readonly content: number
  readonly target: number
  readonly size: number
  readonly sec: number
  readonly nsec: number
}

/** `not_before` of a row that waits for something else to happen first. */
export const untilWoken = 2 ** 52
/** Longer than any pause of ours; one that a provider asked for is begun anew when it asks again. */
const furthestAhead = 310_000
/** Less is a clock that is kept exact. */
const setBack = 1000

/** The rows of the queue. All changes run inside a transaction of the caller. */
export class QueueRows {
  readonly #sql
  /** How far the time of day was ahead of the time that only grows. */
  #clockAhead = -Infinity

  constructor(database: DriveDatabase) {
    const { sql } = database
    // A '+' keeps SQLite from walking the index of what is due where a name says it all.
    this.#sql = {
      get: sql.prepare<[number], QueueRow>('SELECT * FROM queue WHERE id = ?'),
      ofName: sql.prepare<[number], QueueRow>('SELECT * FROM queue WHERE name = ?'),
      ofRemote: sql.prepare<[number], QueueRow>('SELECT * FROM queue WHERE remote = ?'),
      targeting: sql.prepare<[number], QueueRow>('SELECT * FROM queue WHERE target = ? AND name IS NOT NULL LIMIT 1'),
      targets: sql.prepare<[], { target: number }>('SELECT target FROM queue WHERE target IS NOT NULL'),
      sources: sql.prepare<[], { source: number }>(
        'SELECT name.remote AS source FROM queue JOIN name ON name.id = queue.name WHERE queue.sent <> 0 AND name.remote <> queue.target',
      ),
      due: sql.prepare<[number, number, number], QueueRow>(
        'SELECT * FROM queue WHERE parked = 0 AND not_before <= ? ORDER BY not_before, id LIMIT ? OFFSET ?',
      ),
      next: sql.prepare<[number, number], { at: number | null }>(
        'SELECT min(not_before) AS at FROM queue WHERE parked = 0 AND not_before > ? AND not_before < ?',
      ),
      wantName: sql.prepare(
        `INSERT INTO queue (name, not_before) VALUES (?, ?)
         ON CONFLICT (name) DO UPDATE SET not_before = excluded.not_before, tries = 0, refusals = 0, parked = 0, reason = ''`,
      ),
      wantContents: sql.prepare(
        `INSERT INTO queue (name, not_before) VALUES (?, ?)
         ON CONFLICT (name) DO UPDATE SET not_before = max(not_before, excluded.not_before), refusals = 0, parked = 0`,
      ),
      doom: sql.prepare('INSERT INTO queue (remote) VALUES (?) ON CONFLICT (remote) DO NOTHING'),
      carry: sql.prepare('UPDATE queue SET sent = ?, sent_size = ?, sent_s = ?, sent_n = ? WHERE remote = ?'),
      carryGuess: sql.prepare('UPDATE queue SET sent = ?, sent_size = ?, sent_s = ?, sent_n = ? WHERE remote = ? AND sent = 0'),
      abandon: sql.prepare('INSERT INTO queue (handle) VALUES (?)'),
      handles: sql.prepare<[], { handle: string; name: number | null }>('SELECT handle, name FROM queue WHERE handle IS NOT NULL'),
      remove: sql.prepare('DELETE FROM queue WHERE id = ?'),
      spare: sql.prepare('DELETE FROM queue WHERE remote = ?'),
      wait: sql.prepare('UPDATE queue SET not_before = ?, reason = ? WHERE id = ?'),
      failed: sql.prepare('UPDATE queue SET not_before = ?, tries = ?, refusals = ?, parked = ?, reason = ? WHERE id = ?'),
      sent: sql.prepare('UPDATE queue SET sent = ?, target = ?, sent_size = ?, sent_s = ?, sent_n = ? WHERE id = ?'),
      target: sql.prepare('UPDATE queue SET target = ? WHERE id = ?'),
      settled: sql.prepare('UPDATE queue SET sent = 0, target = NULL WHERE id = ?'),
      again: sql.prepare("UPDATE queue SET reason = '', not_before = 0 WHERE id = ?"),
      progressed: sql.prepare('UPDATE queue SET tries = 0, refusals = 0 WHERE id = ?'),
      handle: sql.prepare('UPDATE queue SET handle = ? WHERE id = ?'),
      wake: sql.prepare('UPDATE queue SET not_before = 0 WHERE id = ? AND not_before >= ?'),
      wakeAll: sql.prepare('UPDATE queue SET not_before = 0 WHERE parked = 0 AND not_before >= ?'),
      wakeFolder: sql.prepare('UPDATE queue SET not_before = 0 WHERE +not_before >= ? AND name IN (SELECT id FROM name WHERE parent = ?)'),
      wakeRemote: sql.prepare('UPDATE queue SET not_before = 0 WHERE remote = ? AND +not_before >= ?'),
      quietFrom: sql.prepare(
        `UPDATE queue SET not_before = ? WHERE +parked = 0 AND tries = 0 AND +not_before < ? AND name IN (SELECT id FROM name WHERE node = ?)`,
      ),
      hurry: sql.prepare('UPDATE queue SET not_before = 0 WHERE +parked = 0 AND name IN (SELECT id FROM name WHERE node = ?)'),
      hurryAll: sql.prepare('UPDATE queue SET not_before = 0 WHERE parked = 0'),
      retry: sql.prepare("UPDATE queue SET not_before = 0, parked = 0, tries = 0, refusals = 0, reason = '' WHERE id = ?"),
      retryAll: sql.prepare('UPDATE queue SET not_before = 0, parked = 0, tries = 0, refusals = 0'),
      clockJumped: sql.prepare('UPDATE queue SET not_before = 0 WHERE not_before > ? AND not_before < ?'),
      bringForward: sql.prepare('UPDATE queue SET not_before = max(0, not_before - ?) WHERE not_before < ?'),
      counts: sql.prepare<[], { all: number; parked: number }>('SELECT count(*) AS "all", coalesce(sum(parked), 0) AS parked FROM queue'),
      blocked: sql.prepare<[number], { id: number }>('SELECT id FROM queue WHERE parked = 0 AND not_before >= ? LIMIT 1'),
    }
  }

  get(id: number): QueueRow | undefined {
    return this.#sql.get.get(id)
  }

  ofName(name: number): QueueRow | undefined {
    return this.#sql.ofName.get(name)
  }

  /** The row that removes this remote object. */
  ofRemote(remote: number): QueueRow | undefined {
    return this.#sql.ofRemote.get(remote)
  }

  /** A name's row whose try, under way or of unknown outcome, makes or changes this object. */
  targeting(remote: number): QueueRow | undefined {
    return this.#sql.targeting.get(remote)
  }

  /** What tries under way or of unknown outcome make or change. */
  targets(): number[] {
    return this.#sql.targets.all().map(({ target }) => target)
  }

  /** Where the names are whose tries of unknown outcome make another object. */
  sources(): number[] {
    return this.#sql.sources.all().map(({ source }) => source)
  }

  due(now: number, limit: number, offset: number): QueueRow[] {
    return this.#sql.due.all(now, limit, offset)
  }

  /** When the next waiting row is due; undefined if none waits for a time. */
  nextAfter(now: number): number | undefined {
    return this.#sql.next.get(now, untilWoken)?.at ?? undefined
  }

  /** The name was made, moved or must be made again: whatever held it up before counts no more. */
  wantName(name: number, notBefore: number): void {
    this.#sql.wantName.run(name, notBefore)
  }

  /** Contents or attributes changed: earlier refusals may not hold any more, a wait goes on. */
  wantContents(name: number, notBefore: number): void {
    this.#sql.wantContents.run(name, notBefore)
  }

  /** The object is to be removed. `unsettled`: the try of unknown outcome that may have made or changed it. */
  doom(remote: number, unsettled?: UnknownTry): void {
    this.#sql.doom.run(remote)
    if (unsettled !== undefined && unsettled.sent !== 0) {
      const carry = unsettled.guessed === true ? this.#sql.carryGuess : this.#sql.carry
      carry.run(unsettled.sent, unsettled.sent_size, unsettled.sent_s, unsettled.sent_n, remote)
    }
  }

  /** The object is not to be removed any more. */
  spare(remote: number): void {
    this.#sql.spare.run(remote)
  }

  /** An upload session that nobody will finish. */
  abandon(handle: string): void {
    this.#sql.abandon.run(handle)
  }

  /** Of uploads that go on, packed with what they are for, and of those that are to be ended (`name` is null). */
  handles(): readonly { readonly handle: string; readonly name: number | null }[] {
    return this.#sql.handles.all()
  }

  remove(id: number): void {
    this.#sql.remove.run(id)
  }

  wait(id: number, until: number, reason: string): void {
    this.#sql.wait.run(until, reason, id)
  }

  failed(id: number, to: Pick<QueueRow, 'not_before' | 'tries' | 'refusals' | 'parked' | 'reason'>): void {
    this.#sql.failed.run(to.not_before, to.tries, to.refusals, to.parked, to.reason, id)
  }

  sent(id: number, sent: Sent): void {
    this.#sql.sent.run(sent.content, sent.target, sent.size, sent.sec, sent.nsec, id)
  }

  /** The folder that a folder is being copied to, or the object that is being removed. */
  workingOn(id: number, target: number): void {
    this.#sql.target.run(target, id)
  }

  /** The outcome of the last try is known. */
  settled(id: number): void {
    this.#sql.settled.run(id)
  }

  /** A step succeeded: what is next? */
  again(id: number): void {
    this.#sql.again.run(id)
  }

  /** The provider confirmed a change: earlier failures count no more. */
  progressed(id: number): void {
    this.#sql.progressed.run(id)
  }

  setHandle(id: number, handle: string | null): void {
    this.#sql.handle.run(handle, id)
  }

  wake(id: number): void {
    this.#sql.wake.run(id, untilWoken)
  }

  /** Everything that waits for something else is looked at again. */
  wakeAll(): void {
    this.#sql.wakeAll.run(untilWoken)
  }

  /** The folder is there: its names may follow. */
  wakeFolder(folder: number): void {
    this.#sql.wakeFolder.run(untilWoken, folder)
  }

  wakeRemote(remote: number): void {
    this.#sql.wakeRemote.run(remote, untilWoken)
  }

  /** Quiet time of a node's names: not earlier than this. Leaves alone what waits for its folder, or after a failure. */
  quietUntil(node: number, until: number): void {
    this.#sql.quietFrom.run(until, untilWoken, node)
  }

  hurry(node: number): void {
    this.#sql.hurry.run(node)
  }

  hurryAll(): void {
    this.#sql.hurryAll.run()
  }

  retry(id: number | 'all'): void {
    if (id === 'all') this.#sql.retryAll.run()
    else this.#sql.retry.run(id)
  }

  /** Times further ahead than any wait of ours were made by another clock. */
  forgetTimesAhead(now: number): void {
    this.#sql.clockJumped.run(now + furthestAhead, untilWoken)
  }

  /** The clock may have been set back: what was to be looked at in a minute does not wait for an hour that was there already. */
  followClock(clock: Clock): void {
    const ahead = clock.now() - clock.monotonic()
    const back = this.#clockAhead - ahead
    this.#clockAhead = ahead
    if (back >= setBack) this.#sql.bringForward.run(Math.ceil(back), untilWoken)
  }

  counts(): { readonly all: number; readonly parked: number } {
    return this.#sql.counts.get() ?? { all: 0, parked: 0 }
  }

  someBlocked(): boolean {
    return this.#sql.blocked.get(untilWoken) !== undefined
  }
}
