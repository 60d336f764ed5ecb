import { hashRaw } from '@node-rs/argon2'
import { randomBytes } from 'node:crypto'
import { CloudError } from '../../common/errors.ts'
import type { Secret } from '../../common/secret.ts'
import { notAsSaved } from './vault-errors.ts'

/** Cost of Argon2id (RFC 9106). */
export interface KdfCost {
  readonly memoryKiB: number
  readonly passes: number
  readonly lanes: number
}

/** How a passphrase becomes a slot's key; kept with the slot. */
export interface PassphraseParams extends KdfCost {
  /** 16 bytes, base64url. */
  readonly salt: string
}

/** The least that new slots get: the second recommended option of RFC 9106. */
export const leastCost: KdfCost = { memoryKiB: 64 * 1024, passes: 3, lanes: 4 }

/** What a slot may ask for: its row might come from someone who wants this machine to run out of memory or time. */
const most: KdfCost = { memoryKiB: 1024 * 1024, passes: 10, lanes: 16 }

const aimMs = 250
const saltBytes = 16
const leastCharacters = 12
const mostCharacters = 1024

/** Refuses, as `invalid`, what is too short to withstand guessing. */
export function checkPassphrase(passphrase: Secret): void {
  const { length } = Array.from(passphrase.reveal())
  if (length >= leastCharacters && length <= mostCharacters) return
  throw new CloudError('invalid', `a passphrase has ${leastCharacters} to ${mostCharacters} characters`, {
    hint: 'Several words are easier to remember than signs.',
  })
}

/** As many passes as take about a quarter of a second here, and never less than `least`. */
export async function chooseCost(least: KdfCost): Promise<KdfCost> {
  const started = performance.now()
  await derive(Buffer.from('measure'), randomBytes(saltBytes), least)
  const factor = aimMs / Math.max(1, performance.now() - started)
  return { ...least, passes: Math.min(most.passes, Math.max(least.passes, Math.round(least.passes * factor))) }
}

export function newPassphraseParams(cost: KdfCost): PassphraseParams {
  return { ...cost, salt: randomBytes(saltBytes).toString('base64url') }
}

/** 32 bytes. Throws `damaged`, before any work, if the params are none or ask for too much. */
export function passphraseKey(passphrase: Secret, params: unknown): Promise<Buffer> {
  const { salt, ...cost } = readParams(params)
  // The same passphrase typed on two systems may come composed or decomposed.
  return derive(Buffer.from(passphrase.reveal().normalize('NFC'), 'utf8'), Buffer.from(salt, 'base64url'), cost)
}

/** True if new slots get more than this one has. */
export function isWeaker(params: unknown, least: KdfCost): boolean {
  const { memoryKiB, passes } = readParams(params)
  return memoryKiB < least.memoryKiB || passes < least.passes
}

async function derive(passphrase: Buffer, salt: Buffer, { memoryKiB, passes, lanes }: KdfCost): Promise<Buffer> {
  try {
    // Algorithm 2 is Argon2id, version 1 is 0x13.
    const cost = { algorithm: 2, version: 1, memoryCost: memoryKiB, timeCost: passes, parallelism: lanes, outputLen: 32, salt } as const
    return await hashRaw(passphrase, cost)
  } finally {
    passphrase.fill(0)
  }
}

function readParams(params: unknown): PassphraseParams {
  if (typeof params !== 'object' || params === null) throw notAsSaved()
  const found: Partial<Record<keyof PassphraseParams, unknown>> = params
  const { salt } = found
  if (typeof salt !== 'string' || Buffer.from(salt, 'base64url').length !== saltBytes) throw notAsSaved()
  const lanes = within(found.lanes, 1, most.lanes)
  return { salt, lanes, passes: within(found.passes, 1, most.passes), memoryKiB: within(found.memoryKiB, 8 * lanes, most.memoryKiB) }
}

function within(value: unknown, from: number, to: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < from || value > to) throw notAsSaved()
  return value
}
