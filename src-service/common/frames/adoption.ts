import { CloudError } from '../errors.ts'

/**
 * The frozen part of the talk between service and worker: the messages of proto/cloudmoor/internal/v1 in protobuf's
 * JSON mapping, written by hand because a worker must start fast. Fields may be added, never changed or removed.
 */
export const adoptionProtocol = 1

export type HeldState = 'HELD_STATE_OPEN' | 'HELD_STATE_ATTACHED' | 'HELD_STATE_FAILED'

export interface HeldMount {
  readonly mountId: string
  readonly state: HeldState
  readonly folder: string
  readonly mountPoint: string
  /** uint64 travels as a string. */
  readonly revision: string
  /** How many descriptors ride with the answer to Adopt: 2 if attached, else 0. */
  readonly descriptors: number
}

/** worker -> service: the first message on every connection. */
export interface Hello {
  readonly protocol: number
  readonly workerVersion: string
  readonly pid: number
  readonly bootId: string
  readonly workerId: string
  readonly mounts: readonly HeldMount[]
}

/** service -> worker. */
export interface Adopt {
  readonly mountId: string
}

/** worker -> service. Descriptors: [/dev/fuse, request memory]. */
export interface Adopted {
  readonly mountId: string
  readonly memoryLayout: number
  readonly descriptors: readonly ('DESCRIPTOR_FUSE' | 'DESCRIPTOR_REQUEST_MEMORY')[]
  readonly backingIds: readonly { readonly node: string; readonly backingId: number }[]
}

/** Throws `garbage`. What protobuf leaves out of JSON (zeros, empty lists) is put back in. */
export function parseHello(message: unknown): Hello {
  const fields = object(message)
  return {
    protocol: number(fields['protocol']),
    workerVersion: string(fields['workerVersion']),
    pid: number(fields['pid']),
    bootId: string(fields['bootId']),
    workerId: string(fields['workerId']),
    mounts: list(fields['mounts']).map((item) => {
      const mount = object(item)
      return {
        mountId: string(mount['mountId']),
        state: heldState(mount['state']),
        folder: string(mount['folder']),
        mountPoint: string(mount['mountPoint']),
        revision: string(mount['revision'] ?? '0'),
        descriptors: number(mount['descriptors']),
      }
    }),
  }
}

/** An Adopt, or undefined if the message is a frame. */
export function asAdopt(message: unknown): Adopt | undefined {
  const fields = object(message)
  return fields['kind'] === undefined && typeof fields['mountId'] === 'string' ? { mountId: fields['mountId'] } : undefined
}

/** The answer to an Adopt, or undefined if the message is a frame. */
export function asAdopted(message: unknown): Adopted | undefined {
  const fields = object(message)
  if (fields['kind'] !== undefined || typeof fields['mountId'] !== 'string') return undefined
  return {
    mountId: fields['mountId'],
    memoryLayout: number(fields['memoryLayout']),
    descriptors: list(fields['descriptors']).map((name) => {
      if (name === 'DESCRIPTOR_FUSE' || name === 'DESCRIPTOR_REQUEST_MEMORY') return name
      throw garbage()
    }),
    backingIds: list(fields['backingIds']).map((item) => {
      const pair = object(item)
      return { node: string(pair['node'] ?? '0'), backingId: number(pair['backingId']) }
    }),
  }
}

function heldState(value: unknown): HeldState {
  // A state that a later version adds: the service can only decide itself.
  return value === 'HELD_STATE_OPEN' || value === 'HELD_STATE_ATTACHED' ? value : 'HELD_STATE_FAILED'
}

function object(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw garbage()
  return value as Readonly<Record<string, unknown>>
}

function list(value: unknown): readonly unknown[] {
  if (value === undefined) return []
  if (!Array.isArray(value)) throw garbage()
  return value
}

function number(value: unknown): number {
  if (value === undefined) return 0
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw garbage()
  return value
}

function string(value: unknown): string {
  if (value === undefined) return ''
  if (typeof value !== 'string') throw garbage()
  return value
}

function garbage(): CloudError {
  return new CloudError('garbage', 'a message about taking over a worker that does not follow its contract')
}
