import type { DriveDatabase } from '../database.ts'

/** The part of the database that the blobs need. */
export type BlobDatabase = Pick<
  DriveDatabase,
  'sql' | 'path' | 'transaction' | 'afterCommit' | 'fact' | 'setFact' | 'walBytes' | 'checkpointed'
>

/** A dirty blob: its bytes are not (all) those of a version at the provider. */
export const dirtyBlob = '(blob.base_rev IS NULL OR blob.extents IS NOT NULL)'

interface NodeFacts {
  readonly size: number
  readonly content: number
  readonly hot: number
  readonly generation: number
}

interface BlobFacts {
  readonly whole: number | null
  readonly present: Buffer | null
  readonly extents: Buffer | null
  readonly base_rev: string | null
  readonly base_size: number | null
  readonly synced: number | null
  readonly synced_size: number | null
  readonly bytes: number | null
  readonly used_at: number | null
}

/** A node with its current blob; the columns of `blob` are null where nothing is local. */
export type LoadedRow = NodeFacts & BlobFacts

const noBlob: BlobFacts = {
  whole: null,
  present: null,
  extents: null,
  base_rev: null,
  base_size: null,
  synced: null,
  synced_size: null,
  bytes: null,
  used_at: null,
}

export interface BlobRow {
  readonly whole: boolean
  readonly present: Buffer | null
  readonly extents: Buffer | null
  readonly baseRev: string | null
  readonly baseSize: number
  readonly synced: number
  readonly syncedSize: number
  readonly bytes: number
  readonly usedAt: number
}

export interface Generation {
  readonly node: number
  readonly generation: number
  readonly bytes: number
}

export interface Times {
  readonly size: number
  readonly mtimeSec: number
  readonly mtimeNsec: number
}

/** Statements on `blob` and on those columns of `node` that say something about contents. */
export class BlobRows {
  readonly #sql
  #lastGeneration: number

  constructor({ sql }: Pick<BlobDatabase, 'sql'>) {
    this.#sql = {
      // Two looks into one table each: a join would be planned anew each time.
      node: sql.prepare<[number], NodeFacts>('SELECT size, content, hot, generation FROM node WHERE id = ?'),
      blob: sql.prepare<[number, number], BlobFacts>(
        `SELECT whole, present, extents, base_rev, base_size, synced, synced_size, bytes, used_at FROM blob WHERE node = ? AND generation = ?`,
      ),
      insert: sql.prepare(
        `INSERT INTO blob (node, generation, whole, present, extents, base_rev, base_size, synced, synced_size, bytes, used_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ),
      update: sql.prepare(
        `UPDATE blob SET whole = ?, present = ?, extents = ?, base_rev = ?, base_size = ?, synced = ?, synced_size = ?, bytes = ?, used_at = ?
         WHERE node = ? AND generation = ?`,
      ),
      extents: sql.prepare('UPDATE blob SET extents = ?, bytes = ? WHERE node = ? AND generation = ?'),
      synced: sql.prepare('UPDATE blob SET synced = ?, synced_size = ? WHERE node = ? AND generation = ?'),
      baseRev: sql.prepare('UPDATE blob SET base_rev = ? WHERE node = ? AND base_rev IS NOT NULL'),
      remove: sql.prepare('DELETE FROM blob WHERE node = ? AND generation = ?'),
      generation: sql.prepare('UPDATE node SET generation = ? WHERE id = ?'),
      raise: sql.prepare<[number], { content: number }>('UPDATE node SET content = content + 1, hot = 1 WHERE id = ? RETURNING content'),
      raiseCold: sql.prepare<[number], { content: number }>(
        'UPDATE node SET content = content + 1, hot = 0 WHERE id = ? RETURNING content',
      ),
      heat: sql.prepare('UPDATE node SET hot = 1 WHERE id = ?'),
      content: sql.prepare<[number], { content: number; hot: number }>('SELECT content, hot FROM node WHERE id = ?'),
      settle: sql.prepare(
        `UPDATE node SET size = ?, mtime_s = ?, mtime_n = ?,
           ctime_n = CASE WHEN ctime_s > ? THEN ctime_n WHEN ctime_s = ? THEN max(ctime_n, ?) ELSE ? END,
           ctime_s = max(ctime_s, ?), hot = 0 WHERE id = ?`,
      ),
      size: sql.prepare('UPDATE node SET size = ? WHERE id = ?'),
      fault: sql.prepare('UPDATE node SET fault = ? WHERE id = ? AND fault IS NULL'),
      clearFault: sql.prepare('UPDATE node SET fault = NULL WHERE id = ? AND fault = ?'),
      known: sql.prepare<[number, number], { node: number }>('SELECT node FROM blob WHERE node = ? AND generation = ?'),
      older: sql.prepare<[], Generation>(
        `SELECT blob.node, blob.generation, blob.bytes FROM blob LEFT JOIN node ON node.id = blob.node AND node.generation = blob.generation
         WHERE node.id IS NULL`,
      ),
      incomplete: sql.prepare<[], { node: number }>(
        `SELECT blob.node FROM blob JOIN node ON node.id = blob.node AND node.generation = blob.generation WHERE blob.extents IS NOT NULL`,
      ),
      dirty: sql.prepare<[], { node: number; generation: number; size: number }>(
        `SELECT blob.node, blob.generation, node.size FROM blob JOIN node ON node.id = blob.node AND node.generation = blob.generation
         WHERE ${dirtyBlob} AND node.size > 0`,
      ),
      unsynced: sql.prepare<[], { node: number }>(
        `SELECT blob.node FROM blob JOIN node ON node.id = blob.node AND node.generation = blob.generation
         WHERE ${dirtyBlob} AND (blob.synced < node.content OR blob.synced = 0)`,
      ),
      totals: sql.prepare<[], { bytes: number | null; dirty: number | null }>(
        `SELECT sum(bytes) AS bytes,
           (SELECT sum(blob.bytes) FROM blob JOIN node ON node.id = blob.node AND node.generation = blob.generation WHERE ${dirtyBlob}) AS dirty
         FROM blob`,
      ),
      evictable: sql.prepare<[number, number, number], { node: number; bytes: number }>(
        `SELECT blob.node, blob.bytes FROM blob INDEXED BY blob_used JOIN node ON node.id = blob.node AND node.generation = blob.generation
         WHERE blob.base_rev IS NOT NULL AND blob.extents IS NULL AND blob.bytes > 0
           AND node.pinned <= ? AND (? OR (node.superseded = 0 AND node.nlink > 0))
         ORDER BY blob.used_at LIMIT ?`,
      ),
      used: sql.prepare('UPDATE blob SET used_at = ? WHERE node = ? AND generation = ?'),
      newest: sql.prepare<[], { generation: number | null }>('SELECT max(generation) AS generation FROM blob'),
    }
    this.#lastGeneration = this.#sql.newest.get()?.generation ?? 0
  }

  /**
   * A generation number that no file has and none had: the clock makes it differ from those of which a power loss took the rows.
   */
  nextGeneration(): number {
    this.#lastGeneration = Math.max(this.#lastGeneration + 1, Date.now())
    return this.#lastGeneration
  }

  get lastGeneration(): number {
    return this.#lastGeneration
  }

  load(node: number): LoadedRow | undefined {
    const facts = this.#sql.node.get(node)
    return facts === undefined ? undefined : { ...facts, ...(this.#sql.blob.get(node, facts.generation) ?? noBlob) }
  }

  /** Local bytes of a node; undefined if there are none. */
  local(node: number): { readonly bytes: number; readonly whole: number } | undefined {
    const facts = this.#sql.node.get(node)
    const blob = facts === undefined ? undefined : this.#sql.blob.get(node, facts.generation)
    return blob === undefined || blob.bytes === null || blob.whole === null ? undefined : { bytes: blob.bytes, whole: blob.whole }
  }

  insert(node: number, generation: number, row: BlobRow): void {
    this.#sql.insert.run(
      node,
      generation,
      row.whole ? 1 : 0,
      row.present,
      row.extents,
      row.baseRev,
      row.baseSize,
      row.synced,
      row.syncedSize,
      row.bytes,
      row.usedAt,
    )
    this.#sql.generation.run(generation, node)
  }

  update(node: number, generation: number, row: BlobRow): void {
    this.#sql.update.run(
      row.whole ? 1 : 0,
      row.present,
      row.extents,
      row.baseRev,
      row.baseSize,
      row.synced,
      row.syncedSize,
      row.bytes,
      row.usedAt,
      node,
      generation,
    )
  }

  setExtents(node: number, generation: number, extents: Buffer, bytes: number): void {
    this.#sql.extents.run(extents, bytes, node, generation)
  }

  setSynced(node: number, generation: number, synced: number, syncedSize: number): void {
    this.#sql.synced.run(synced, syncedSize, node, generation)
  }

  setUsed(node: number, generation: number, at: number): void {
    this.#sql.used.run(at, node, generation)
  }

  setBaseRev(node: number, rev: string): void {
    this.#sql.baseRev.run(rev, node)
  }

  /** The node has another current blob (0 = none); rows of others stay until their files are gone. */
  setGeneration(node: number, generation: number): void {
    this.#sql.generation.run(generation, node)
  }

  remove(node: number, generation: number): void {
    this.#sql.remove.run(node, generation)
  }

  /** Raises the version of the bytes. `hot`: size and mtime of the row will lag from now on. */
  raiseContent(node: number, hot: boolean): number | undefined {
    return (hot ? this.#sql.raise : this.#sql.raiseCold).get(node)?.content
  }

  heat(node: number): void {
    this.#sql.heat.run(node)
  }

  content(node: number): { readonly content: number; readonly hot: number } | undefined {
    return this.#sql.content.get(node)
  }

  settle(node: number, { size, mtimeSec, mtimeNsec }: Times): void {
    this.#sql.settle.run(size, mtimeSec, mtimeNsec, mtimeSec, mtimeSec, mtimeNsec, mtimeNsec, mtimeSec, node)
  }

  setSize(node: number, size: number): void {
    this.#sql.size.run(size, node)
  }

  /** Marks a node that is well; what was wrong before stays the reason. */
  setFault(node: number, fault: string): void {
    this.#sql.fault.run(fault, node)
  }

  clearFault(node: number, fault: string): void {
    this.#sql.clearFault.run(node, fault)
  }

  /** True if some node has or had this blob. */
  knows(node: number, generation: number): boolean {
    return this.#sql.known.get(node, generation) !== undefined
  }

  /** Blobs that are no node's current one. */
  older(): Generation[] {
    return this.#sql.older.all()
  }

  /** Dirty nodes that lack some of their base. */
  incomplete(): number[] {
    return this.#sql.incomplete.all().map((row) => row.node)
  }

  /** Dirty blobs that must have a file. */
  dirty(): { readonly node: number; readonly generation: number; readonly size: number }[] {
    return this.#sql.dirty.all()
  }

  /** Dirty nodes of which the last fdatasync does not cover everything. */
  unsynced(): number[] {
    return this.#sql.unsynced.all().map((row) => row.node)
  }

  totals(): { readonly bytes: number; readonly dirty: number } {
    const row = this.#sql.totals.get()
    return { bytes: row?.bytes ?? 0, dirty: row?.dirty ?? 0 }
  }

  /** Clean blobs, least recently used first. */
  evictable(
    limit: number,
    how: { readonly pinned: boolean; readonly nameless: boolean },
  ): { readonly node: number; readonly bytes: number }[] {
    return this.#sql.evictable.all(how.pinned ? 1 : 0, how.nameless ? 1 : 0, limit)
  }
}
