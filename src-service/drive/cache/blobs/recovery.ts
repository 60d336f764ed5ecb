import { join } from 'node:path'
import { rootNode } from '../tree.ts'
import { type BlobDatabase, dirtyBlob, type Generation } from './blob-rows.ts'
import { BlockMap, blockSize, blocksOf } from './block-map.ts'
import type { BlobContext } from './context.ts'
import type { FileFacts } from './disk.ts'
import { Slots } from './slots.ts'
import type { Unproved } from './start-report.ts'

export const unprovedFault = 'unproved_after_power_loss'

const looksAtOnce = 16
const batch = 5000
/** Unit in which file systems give room, bytes. */
const diskUnit = 4096

/** One blob with what its node says. */
interface CurrentRow {
  readonly node: number
  readonly generation: number
  readonly dirty: number
  readonly whole: number
  readonly bytes: number
  readonly synced: number
  readonly synced_size: number
  readonly size: number
  readonly content: number
  readonly hot: number
}

interface RemoteRow {
  readonly content: number
  readonly size: number
  readonly mtime_s: number
  readonly mtime_n: number
}

/** What has to be done to make the rows true, found before anything is changed. */
interface Findings {
  /** Clean blobs to let go of. */
  readonly drop: CurrentRow[]
  /** Dirty blobs whose file says size and time. */
  readonly follow: { readonly row: CurrentRow; readonly facts: FileFacts }[]
  /** Dirty blobs that nothing vouches for. */
  readonly unproved: { readonly row: CurrentRow; readonly facts: FileFacts | undefined }[]
  readonly missing: CurrentRow[]
}

interface Promised extends Generation {
  readonly synced_size: number
}

/** An unproved blob after its file was put aside. */
interface Aside {
  readonly row: CurrentRow
  readonly file: { readonly name: string; readonly size: number } | undefined
  readonly older: (Promised & { readonly facts: FileFacts }) | undefined
}

const currentRows = `
  SELECT blob.node, blob.generation, ${dirtyBlob} AS dirty, blob.whole, blob.bytes, blob.synced, blob.synced_size, node.size, node.content, node.hot
  FROM blob JOIN node ON node.id = blob.node AND node.generation = blob.generation`

/** Makes rows and files agree again after a crash or a power loss. Every step may be repeated: it can be interrupted too. */
export class Recovery {
  readonly #context: BlobContext
  readonly #pathOf: (node: number, generation: number) => string
  readonly #slots = new Slots(looksAtOnce)

  constructor(context: BlobContext, pathOf: (node: number, generation: number) => string) {
    this.#context = context
    this.#pathOf = pathOf
  }

  /** The process died, the kernel did not: files and commits are all there; only sizes and times may lag in the rows. */
  async afterCrash(): Promise<{ readonly missing: readonly number[] }> {
    const { database } = this.#context
    const findings = emptyFindings()
    const hot = database.sql.prepare<[], CurrentRow>(`${currentRows} WHERE node.hot = 1`).all()
    await this.#each(hot, async (row) => {
      const facts = await this.#facts(row)
      if (row.dirty === 0) return
      if (facts === undefined) findings.missing.push(row)
      else findings.follow.push({ row, facts })
    })
    database.transaction(() => {
      this.#apply(findings)
    })
    return { missing: findings.missing.map((row) => row.node) }
  }

  /** The machine went down: only what an fdatasync covered is believed. `finished` is part of the last transaction. */
  async afterPowerLoss(finished: () => void): Promise<{ readonly unproved: readonly Unproved[] }> {
    const { database } = this.#context
    const next = database.sql.prepare<[number, number], CurrentRow>(`${currentRows} WHERE blob.node > ? ORDER BY blob.node LIMIT ?`)
    const unproved: Unproved[] = []
    for (let after = 0; ; ) {
      const rows = next.all(after, batch)
      const findings = emptyFindings()
      await this.#each(rows, async (row) => this.#judge(row, await this.#facts(row), findings))
      const aside: Aside[] = []
      for (const { row, facts } of findings.unproved) aside.push(await this.#putAside(row, facts))
      if (aside.length > 0) await this.#context.disk.syncFolder(join(this.#context.folder, 'quarantine'))
      database.transaction(() => {
        this.#apply(findings)
        // The bytes may be newer than the row: nothing that was under way for its number may go on with them.
        for (const { row } of findings.follow) this.#context.rows.raiseContent(row.node, false)
        for (const one of aside) unproved.push(this.#setBack(one))
        if (rows.length < batch) finished()
      })
      if (rows.length < batch) return { unproved }
      after = rows.at(-1)?.node ?? Infinity
    }
  }

  #judge(row: CurrentRow, facts: FileFacts | undefined, findings: Findings): void {
    if (row.dirty === 0) {
      if (row.synced === 0 || facts === undefined || (row.whole === 1 && facts.size !== row.size)) findings.drop.push(row)
      return
    }
    if (row.synced === 0) {
      // A new file that was never written to needs no proof.
      const untouched = row.size === 0 && row.hot === 0 && (facts === undefined || facts.size === 0)
      if (!untouched || this.#remote(row.node) !== undefined || promisedGeneration(this.#context.database, row) !== undefined) {
        findings.unproved.push({ row, facts })
      }
      return
    }
    if (facts === undefined && row.synced_size === 0) {
      // What was synced had no bytes yet, nor a file.
      findings.follow.push({ row, facts: { size: 0, mtimeSec: Math.floor(this.#context.clock.now() / 1000), mtimeNsec: 0, allocated: 0 } })
    } else if (facts === undefined || facts.size < row.synced_size) findings.unproved.push({ row, facts })
    else findings.follow.push({ row, facts })
  }

  #apply({ drop, follow, missing }: Findings): void {
    const { rows, host } = this.#context
    for (const row of drop) rows.setGeneration(row.node, 0)
    for (const { row, facts } of follow) this.#follow(row, facts)
    for (const row of missing) {
      rows.setFault(row.node, 'blob_missing')
      host.log('error', 'the only copy of changes is gone from the disk', { node: row.node, size: row.size })
    }
  }

  /** Size and time as the file has them; what the row says about bytes beyond its end is void. */
  #follow(row: CurrentRow, facts: FileFacts): void {
    const { rows } = this.#context
    if (row.hot === 1) rows.settle(row.node, facts)
    else if (facts.size !== row.size) rows.setSize(row.node, facts.size)
    const loaded = rows.load(row.node)
    if (loaded === undefined || loaded.whole === null) return
    const blocks = blocksOf(facts.size)
    // Which blocks of a whole file take room is not known exactly: no fewer than the file system says.
    const taken = Math.min(blocks, Math.ceil(facts.allocated / blockSize) + 1)
    const present = row.whole === 0 ? loaded.present : taken >= blocks ? null : this.#taken(loaded.present, taken, blocks)
    rows.update(row.node, row.generation, {
      whole: row.whole === 1,
      present,
      extents: loaded.extents,
      baseRev: loaded.base_rev,
      baseSize: Math.min(loaded.base_size ?? 0, facts.size),
      synced: loaded.synced ?? 0,
      syncedSize: loaded.synced_size ?? 0,
      bytes: Math.min(taken * blockSize, Math.ceil(facts.size / diskUnit) * diskUnit),
      usedAt: loaded.used_at ?? 0,
    })
  }

  /** The blocks that the row knew, and as many more as the file has grown by. */
  #taken(known: Buffer | null, count: number, blocks: number): Buffer {
    const map = known === null ? new BlockMap() : BlockMap.decode(known, blocks)
    for (let block = blocks - 1; block >= 0 && map.count < count; block -= 1) map.add(block)
    return map.encode()
  }

  /** Moves the file aside under a name that a repetition finds again, and looks for older bytes that are proved. */
  async #putAside(row: CurrentRow, facts: FileFacts | undefined): Promise<Aside> {
    const { disk, folder, database } = this.#context
    const name = `${row.node}.${row.generation}`
    const place = join(folder, 'quarantine', name)
    if (facts !== undefined) await disk.move(this.#pathOf(row.node, row.generation), place)
    const kept = await disk.factsAt(place)
    const promised = promisedGeneration(database, row)
    const promisedFacts = promised === undefined ? undefined : await disk.factsAt(this.#pathOf(row.node, promised.generation))
    const proved = promised !== undefined && promisedFacts !== undefined && promisedFacts.size >= promised.synced_size
    return {
      row,
      file: kept === undefined ? undefined : { name, size: kept.size },
      older: proved ? { ...promised, facts: promisedFacts } : undefined,
    }
  }

  /** The node becomes again what can be vouched for. */
  #setBack({ row, file, older }: Aside): Unproved {
    const { database, rows, host } = this.#context
    const { sql } = database
    const quarantine = file === undefined ? undefined : this.#record(row.node, file)
    const content = row.content + 1
    rows.remove(row.node, row.generation)
    sql.prepare('UPDATE node SET content = ?, hot = 0 WHERE id = ?').run(content, row.node)
    host.log('error', 'changes that were never synced to disk are unproved after a power loss', {
      node: row.node,
      quarantine: file?.name ?? '',
    })
    if (older !== undefined) {
      rows.setGeneration(row.node, older.generation)
      rows.settle(row.node, older.facts)
      return { node: row.node, quarantine, now: 'promised', content }
    }
    rows.setGeneration(row.node, 0)
    // An emptied file that has its bytes back is no loss.
    if (file !== undefined || row.size > 0 || row.hot === 1) rows.setFault(row.node, unprovedFault)
    const remote = this.#remote(row.node)
    if (remote === undefined) {
      rows.setSize(row.node, 0)
      return { node: row.node, quarantine, now: 'nothing', content }
    }
    // A new number for old bytes: nothing that was under way for the number that is lost may go on with them.
    sql.prepare('UPDATE remote SET content = ? WHERE node = ? AND content = ?').run(content, row.node, remote.content)
    rows.settle(row.node, { size: remote.size, mtimeSec: remote.mtime_s, mtimeNsec: remote.mtime_n })
    return { node: row.node, quarantine, now: 'remote', content }
  }

  /** What the provider last confirmed of these bytes. */
  #remote(node: number): RemoteRow | undefined {
    return this.#context.database.sql
      .prepare<[number], RemoteRow>(
        'SELECT content, size, mtime_s, mtime_n FROM remote WHERE node = ? AND content > 0 ORDER BY content DESC LIMIT 1',
      )
      .get(node)
  }

  #record(node: number, file: { readonly name: string; readonly size: number }): number {
    const { database, clock } = this.#context
    const added = database.sql
      .prepare('INSERT INTO quarantine (path, file, size, at, reason) VALUES (?, ?, ?, ?, ?)')
      .run(pathOf(database, node), file.name, file.size, clock.now(), unprovedFault)
    return Number(added.lastInsertRowid)
  }

  async #facts(row: CurrentRow): Promise<FileFacts | undefined> {
    return this.#context.disk.factsAt(this.#pathOf(row.node, row.generation))
  }

  async #each(rows: readonly CurrentRow[], work: (row: CurrentRow) => Promise<void>): Promise<void> {
    await Promise.all(rows.map((row) => this.#slots.run(() => work(row))))
  }
}

function emptyFindings(): Findings {
  return { drop: [], follow: [], unproved: [], missing: [] }
}

/** An older blob of the node that an fsync covered, kept because the newer one was not. */
export function promisedGeneration(
  database: Pick<BlobDatabase, 'sql'>,
  current: { readonly node: number; readonly generation: number },
): Promised | undefined {
  return database.sql
    .prepare<[number, number], Promised>(
      `SELECT node, generation, bytes, synced_size FROM blob WHERE node = ? AND generation < ? AND synced > 0 AND ${dirtyBlob} ORDER BY generation DESC LIMIT 1`,
    )
    .get(current.node, current.generation)
}

/** Path of the node by its first name, for people who look for what was put aside. */
function pathOf(database: Pick<BlobDatabase, 'sql'>, node: number): Buffer {
  const up = database.sql.prepare<[number], { parent: number; name: Buffer }>(
    'SELECT parent, name FROM name WHERE node = ? ORDER BY id LIMIT 1',
  )
  const parts: Buffer[] = []
  for (let at = up.get(node); at !== undefined; at = at.parent === rootNode ? undefined : up.get(at.parent))
    parts.unshift(at.name, Buffer.from('/'))
  return Buffer.concat(parts.slice(0, -1))
}
