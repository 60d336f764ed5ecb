import type { VaultRecord } from '../store/records.ts'
import { frame, unframe } from './canonical.ts'
import { open, seal } from './sealed-box.ts'
import type { Context } from './sealed-box.ts'
import { notAsSaved } from './vault-errors.ts'

/**
 * What belongs to a vault: the digest of each secret's and each slot's row. It makes rows that were taken away, put back from
 * an older copy, or added by someone else stand out.
 */
export interface Catalogue {
  readonly secrets: ReadonlyMap<string, CatalogueEntry>
  readonly slots: ReadonlyMap<string, Uint8Array>
}

export interface CatalogueEntry {
  readonly digest: Uint8Array
  /** Bytes of the sealed value. */
  readonly size: number
}

type Head = Omit<VaultRecord, 'catalogue'>

export function sealCatalogue(key: Buffer, head: Head, catalogue: Catalogue): VaultRecord {
  const secrets = [...catalogue.secrets].flatMap(([id, { digest, size }]) => [id, size, digest])
  const slots = [...catalogue.slots].flatMap(([id, digest]) => [id, digest])
  return { ...head, catalogue: seal(key, contextOf(head), frame([frame(secrets), frame(slots)])) }
}

/** Throws `damaged`. */
export function openCatalogue(key: Buffer, record: VaultRecord): Catalogue {
  const plain = open(key, contextOf(record), record.catalogue)
  const [secrets, slots] = (unframe(plain) ?? []).map((part) => unframe(part))
  if (secrets === undefined || secrets === null || slots === undefined || slots === null) throw notAsSaved()
  return { secrets: new Map(entriesOf(secrets)), slots: new Map(slotsOf(slots)) }
}

function contextOf({ id, counter, createdAt, rotatedAt }: Head): Context {
  return ['catalogue', id, counter, createdAt, rotatedAt]
}

function* entriesOf(parts: readonly Buffer[]): Generator<[string, CatalogueEntry]> {
  for (let at = 0; at + 2 < parts.length; at += 3) {
    const [id, size, digest] = parts.slice(at, at + 3)
    if (id !== undefined && size !== undefined && digest !== undefined) yield [id.toString(), { size: Number(size.toString()), digest }]
  }
}

function* slotsOf(parts: readonly Buffer[]): Generator<[string, Uint8Array]> {
  for (let at = 0; at + 1 < parts.length; at += 2) {
    const [id, digest] = parts.slice(at, at + 2)
    if (id !== undefined && digest !== undefined) yield [id.toString(), digest]
  }
}
