import { createHash, createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync, timingSafeEqual } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import type { SlotRecord } from '../store/records.ts'
import { frame } from './canonical.ts'
import { deriveKey, open, seal } from './sealed-box.ts'
import type { Context } from './sealed-box.ts'
import { notAsSaved } from './vault-errors.ts'

export type SlotKind = 'keychain' | 'passphrase' | 'credential' | 'key-file' | 'recovery-key'

export const slotKinds: readonly SlotKind[] = ['credential', 'key-file', 'keychain', 'passphrase', 'recovery-key']

/** A slot before it holds the root key. Params are JSON. */
export type SlotPlace = Pick<SlotRecord, 'id' | 'kind' | 'params' | 'createdAt'>

/**
 * Makes a slot. Its key (of whatever kind) gives an X25519 key pair; the root key is sealed to the public half, so that
 * a new root key can be put into every slot without anyone's passphrase.
 */
export function makeSlot(vaultId: string, place: SlotPlace, slotKey: Buffer, root: Buffer): SlotRecord {
  const publicKey = rawPublic(createPublicKey(privateKeyOf(vaultId, place.id, slotKey)))
  return fillSlot(vaultId, { ...place, publicKey, rootKey: new Uint8Array() }, root)
}

/** The slot with another root key in it. */
export function fillSlot(vaultId: string, slot: SlotRecord, root: Buffer): SlotRecord {
  const { privateKey, publicKey } = generateKeyPairSync('x25519')
  const sender = rawPublic(publicKey)
  const shared = diffieHellman({ privateKey, publicKey: publicFrom(slot.publicKey) })
  const key = deriveKey(shared, ['slot', sender, slot.publicKey])
  shared.fill(0)
  const rootKey = Buffer.concat([sender, seal(key, contextOf(vaultId, slot), root)])
  key.fill(0)
  return { ...slot, rootKey }
}

/** The root key; null if this is not the slot's key. Throws `damaged` if the slot is not as it was saved. */
export function openSlot(vaultId: string, slot: SlotRecord, slotKey: Buffer): Buffer | null {
  const privateKey = privateKeyOf(vaultId, slot.id, slotKey)
  const publicKey = rawPublic(createPublicKey(privateKey))
  if (slot.publicKey.length !== rawBytes || !timingSafeEqual(publicKey, slot.publicKey)) return null
  if (slot.rootKey.length < rawBytes) throw notAsSaved()
  const sender = slot.rootKey.subarray(0, rawBytes)
  const shared = agree(privateKey, sender)
  const key = deriveKey(shared, ['slot', sender, slot.publicKey])
  shared.fill(0)
  try {
    return open(key, contextOf(vaultId, slot), slot.rootKey.subarray(rawBytes))
  } finally {
    key.fill(0)
  }
}

/** Says exactly which row it is, as it is. */
export function digestOfSlot({ id, kind, params, publicKey, rootKey, createdAt }: SlotRecord): Buffer {
  return createHash('sha256')
    .update(frame(['slot', id, kind, params, publicKey, rootKey, createdAt]))
    .digest()
}

function contextOf(vaultId: string, { id, kind, params, createdAt }: SlotPlace): Context {
  return ['root key', vaultId, id, kind, params, createdAt]
}

/** A point that gives no secret is refused by OpenSSL. */
function agree(privateKey: KeyObject, sender: Uint8Array): Buffer {
  try {
    return diffieHellman({ privateKey, publicKey: publicFrom(sender) })
  } catch (caught) {
    throw notAsSaved(caught)
  }
}

const rawBytes = 32
/** What stands before the 32 bytes of an X25519 key in PKCS #8 and in SPKI (RFC 8410). */
const privateHead = Buffer.from('302e020100300506032b656e04220420', 'hex')
const publicHead = Buffer.from('302a300506032b656e032100', 'hex')

function privateKeyOf(vaultId: string, slotId: string, slotKey: Buffer): KeyObject {
  const scalar = deriveKey(slotKey, ['slot key', vaultId, slotId])
  const der = Buffer.concat([privateHead, scalar])
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  } finally {
    scalar.fill(0)
    der.fill(0)
  }
}

function publicFrom(raw: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([publicHead, raw]), format: 'der', type: 'spki' })
}

function rawPublic(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'spki' }).subarray(publicHead.length)
}
