import type { QueueCounts } from '../../../common/drive-state.ts'
import type { MessageInitShape } from '@bufbuild/protobuf'
import type { PendingSchema } from '../../../../proto/gen/cloudmoor/v1/event_pb.js'
import type { Mount } from '../../mounts/mount-manager-contract.ts'
import { writeQueue } from '../wire-values.ts'

/** What the providers have not confirmed of some mounts, kept up to date. */
export class Pending {
  readonly #queues = new Map<string, QueueCounts | null>()
  #orphans: readonly (QueueCounts | null)[] = []

  clear(): void {
    this.#queues.clear()
  }

  has(mountId: string): boolean {
    return this.#queues.has(mountId)
  }

  /** What waits without a mount. */
  setOrphans(queues: readonly (QueueCounts | null)[]): void {
    this.#orphans = queues
  }

  set({ record, status }: Mount): void {
    this.#queues.set(record.id, status.queue)
  }

  delete(mountId: string): void {
    this.#queues.delete(mountId)
  }

  /** @returns all that is known together, and whether that is all */
  sum(): QueueCounts & { readonly complete: boolean } {
    const all = [...this.#queues.values(), ...this.#orphans]
    return { ...sumOf(all.filter((queue) => queue !== null)), complete: !all.includes(null) }
  }

  write(): MessageInitShape<typeof PendingSchema> {
    const { complete, ...sum } = this.sum()
    return { queue: writeQueue(sum), complete, safe: complete && sum.files === 0 }
  }
}

export function sumOf(queues: readonly QueueCounts[]): QueueCounts {
  const sum = { files: 0, bytes: 0, parked: 0, uploading: 0 }
  for (const queue of queues) {
    sum.files += queue.files
    sum.bytes += queue.bytes
    sum.parked += queue.parked
    sum.uploading += queue.uploading
  }
  return sum
}
