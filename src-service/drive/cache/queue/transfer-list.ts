import type { Transfer } from '../../../common/drive-state.ts'
import { shownName } from '../places.ts'
import type { QueueParts } from './queue-parts.ts'
import { type QueueRow, untilWoken } from './queue-rows.ts'
import { isFile, type RemoteRow } from '../tree.ts'
import { isInPlace } from './decide.ts'
import type { Running } from './running.ts'

export interface QueueStatus {
  readonly files: number
  readonly bytes: number
  readonly parked: number
  readonly uploading: number
}

/** Files whose contents are to be sent. */
const unsent = `FROM queue CROSS JOIN name ON name.id = queue.name CROSS JOIN node ON node.id = name.node
  LEFT JOIN remote ON remote.id = name.remote
  WHERE node.mode & 61440 = 32768 AND (remote.id IS NULL OR remote.content <> node.content)`

/** What people are shown of the queue. */
export class TransferList {
  readonly #parts: QueueParts
  readonly #running: ReadonlyMap<number, Running>
  readonly #sql
  #bytes = 0
  #bytesUntil = 0
  #changed = true

  constructor(parts: QueueParts, running: ReadonlyMap<number, Running>) {
    this.#parts = parts
    this.#running = running
    const { sql } = parts.database
    this.#sql = {
      counts: sql.prepare<[], { files: number; parked: number }>(
        'SELECT count(*) AS files, coalesce(sum(parked), 0) AS parked FROM queue WHERE name IS NOT NULL OR remote IS NOT NULL',
      ),
      bytes: sql.prepare<[], { bytes: number; hot: number }>(
        `SELECT coalesce(sum(CASE node.hot WHEN 0 THEN node.size ELSE 0 END), 0) AS bytes, coalesce(sum(node.hot), 0) AS hot ${unsent}`,
      ),
      hot: sql.prepare<[], { id: number; size: number }>(`SELECT node.id, node.size ${unsent} AND node.hot = 1`),
      first: sql.prepare<[number], QueueRow>(
        'SELECT * FROM queue WHERE name IS NOT NULL OR remote IS NOT NULL ORDER BY parked, not_before, id LIMIT ?',
      ),
      ofNode: sql.prepare<[number], QueueRow>(
        'SELECT queue.* FROM name JOIN queue ON queue.name = name.id WHERE name.node = ? ORDER BY queue.parked DESC, queue.id',
      ),
    }
  }

  changed(): void {
    this.#changed = true
  }

  status(): QueueStatus {
    const { files, parked } = this.#sql.counts.get() ?? { files: 0, parked: 0 }
    return { files, parked, bytes: files === 0 ? 0 : this.#sumOfBytes(), uploading: this.#running.size }
  }

  stateOf(node: number): { readonly state: 'queued' | 'uploading' | 'parked'; readonly reason: string } | undefined {
    const rows = this.#sql.ofNode.all(node)
    const [first] = rows
    if (first === undefined) return undefined
    if (rows.some((row) => this.#running.has(row.id))) return { state: 'uploading', reason: '' }
    return { state: first.parked === 1 ? 'parked' : 'queued', reason: first.reason }
  }

  /** Those under way first, then in the order in which they are due; parked ones last. */
  list(limit: number): Transfer[] {
    const running = [...this.#running.values()].flatMap((one) => this.#parts.rows.get(one.row.id) ?? [])
    const rest = this.#sql.first.all(limit + running.length).filter((row) => !this.#running.has(row.id))
    return [...running, ...rest].slice(0, limit).flatMap((row) => this.#transfer(row) ?? [])
  }

  /** A sum over the whole queue: made again only now and then, the more seldom the longer it takes. */
  #sumOfBytes(): number {
    const now = performance.now()
    if (this.#changed && now >= this.#bytesUntil) {
      const { bytes, hot } = this.#sql.bytes.get() ?? { bytes: 0, hot: 0 }
      this.#bytes = bytes + (hot === 0 ? 0 : this.#hotBytes())
      // Sizes of files that are being written follow without a word.
      this.#changed = hot > 0
      this.#bytesUntil = performance.now() + 50 * (performance.now() - now)
    }
    return this.#bytes
  }

  #hotBytes(): number {
    const { contents } = this.#parts
    return this.#sql.hot.all().reduce((sum, { id, size }) => sum + (contents.live(id)?.size ?? size), 0)
  }

  #transfer(row: QueueRow): Transfer | undefined {
    const { tree } = this.#parts
    const running = this.#running.get(row.id)
    const common = {
      id: row.id,
      state: stateOf(row, running),
      done: running?.done ?? 0,
      tries: row.tries + row.refusals,
      nextTryAt: row.not_before < untilWoken && row.not_before > this.#parts.clock.now() ? row.not_before : 0,
      reason: row.reason,
    } as const
    if (row.name !== null) {
      const name = tree.nameById(row.name)
      const node = name === undefined ? undefined : tree.node(name.node)
      if (name === undefined || node === undefined) return undefined
      const remote = name.remote === null ? undefined : tree.remote(name.remote)
      const moves = remote !== undefined && !isInPlace(name, remote) && (!isFile(node.mode) || remote.content === node.content)
      return {
        ...common,
        path: tree.pathOf(name),
        direction: moves ? 'move' : 'upload',
        size: isFile(node.mode) ? (this.#parts.contents.live(node.id)?.size ?? node.size) : 0,
      }
    }
    const remote = row.remote === null ? undefined : tree.remote(row.remote)
    return remote === undefined ? undefined : { ...common, path: this.#remotePath(remote), direction: 'remove', size: 0 }
  }

  #remotePath(row: RemoteRow): string {
    const above = this.#parts.places.folderPlace(row.parent)?.path ?? []
    return [...above, shownName(row)].map((name) => name.toString()).join('/')
  }
}

function stateOf(row: QueueRow, running: Running | undefined): Transfer['state'] {
  if (running !== undefined) return 'running'
  if (row.parked === 1) return 'parked'
  return row.tries + row.refusals > 0 ? 'retrying' : 'waiting'
}
