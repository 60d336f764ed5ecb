import { CloudError } from '../../../common/errors.ts'
import { timeOf } from '../remote-facts.ts'
import type { SyncParts } from '../sync-parts.ts'
import type { TakeIn } from './take-in.ts'
import { modeOf } from './take-in.ts'

/** Objects that wait to be asked for; what does not fit is found again by the next start or listing. */
const mostWaiting = 100_000

/** attributes=exact: asks for each object whose listing told no attributes, some at once, behind everything else. */
export class ExactAttributes {
  readonly #parts: SyncParts
  readonly #takeIn: TakeIn
  readonly #waiting: number[] = []
  readonly #ended = new AbortController()
  readonly #sql
  #running = 0
  #idle: (() => void)[] = []

  constructor(parts: SyncParts, takeIn: TakeIn) {
    this.#parts = parts
    this.#takeIn = takeIn
    const { sql } = parts.database
    this.#sql = {
      update: sql.prepare(
        `UPDATE node SET mode = ?, uid = ?, gid = ?, rdev = ?, mtime_s = ?, mtime_n = ?, atime_s = ?, atime_n = ? WHERE id = ? AND attrs = 1`,
      ),
      open: sql.prepare<[number], { id: number }>('SELECT id FROM remote WHERE node > 0 AND content > 0 AND attrs = 0 LIMIT ?'),
    }
    if (parts.settings.attributes === 'exact') this.ask(this.#sql.open.all(mostWaiting).map((row) => row.id))
  }

  ask(rows: readonly number[]): void {
    if (this.#parts.settings.attributes !== 'exact') return
    for (const row of rows) if (this.#waiting.length < mostWaiting) this.#waiting.push(row)
    this.#start()
  }

  async close(): Promise<void> {
    this.#ended.abort(new CloudError('cancelled', 'the drive is closing'))
    this.#waiting.length = 0
    if (this.#running > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  #start(): void {
    const most = Math.min(8, this.#parts.connector.capabilities.parallelism)
    while (this.#running < most && this.#waiting.length > 0) {
      this.#running++
      void this.#work()
    }
  }

  async #work(): Promise<void> {
    for (let row = this.#waiting.pop(); row !== undefined; row = this.#waiting.pop()) {
      try {
        await this.#one(row)
      } catch (caught) {
        const error = CloudError.from(caught)
        this.#parts.reachability.failed(error)
        this.#parts.log('debug', 'attributes could not be asked for', { kind: error.kind })
      }
    }
    this.#running--
    if (this.#running > 0) return
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  async #one(id: number): Promise<void> {
    const { tree, places, connector, database } = this.#parts
    const row = tree.remote(id)
    const place = row === undefined || row.attrs !== 0 ? undefined : places.placeOfRemote(row)
    if (row === undefined || place === undefined) return
    const entry = await connector.stat(place, row.type === 'folder' ? 'folder' : 'file', this.#ended.signal)
    if (entry === null) return
    database.transaction(() => {
      const now = tree.remote(id)
      const name = tree.nameOfRemote(id)
      if (now === undefined || name === undefined || now.rev !== row.rev || entry.rev !== row.rev || this.#takeIn.isBusy(name)) return
      if (entry.type !== now.type && now.type !== 'folder') {
        const node = this.#takeIn.newVersion(name, now, entry)
        tree.updateRemote({ ...now, type: entry.type, node, content: 1, attrs: 1 })
        return
      }
      const { posix } = entry
      const mtime = timeOf(entry)
      const atime = posix.atime ?? mtime
      const { uid, gid, umask } = this.#parts.settings
      this.#sql.update.run(
        modeOf(entry, umask),
        posix.uid ?? uid,
        posix.gid ?? gid,
        posix.rdev ?? 0,
        mtime.sec,
        mtime.nsec,
        atime.sec,
        atime.nsec,
        name.node,
      )
      tree.updateRemote({ ...now, mtime_s: mtime.sec, mtime_n: mtime.nsec, attrs: 1 })
      database.afterCommit(() => {
        this.#parts.notifier()?.attributesChanged(name.node)
      })
    })
  }
}
