import { isDeepStrictEqual } from 'node:util'
import type { Clock } from '../../../common/clock.ts'
import type { Mount } from '../../mounts/mount-manager-contract.ts'

/** Milliseconds between two tellings of numbers of one mount. */
const calmMs = 250

interface Told {
  readonly mount: Mount
  readonly at: number
  /** What came since, and waits. */
  next?: Mount
}

/**
 * Numbers of a busy mount change with every file, and each change would go to every stream: they are told at most four times a
 * second, the last ones always. Whatever else changes is told at once, and so is that something is not at the provider any more.
 */
export class CalmCounts {
  readonly #clock: Clock
  readonly #tell: (mount: Mount) => void
  readonly #told = new Map<string, Told>()

  constructor(clock: Clock, tell: (mount: Mount) => void) {
    this.#clock = clock
    this.#tell = tell
  }

  changed(mount: Mount): void {
    const { id } = mount.record
    const told = this.#told.get(id)
    const waitMs = told === undefined ? 0 : told.at + calmMs - this.#clock.monotonic()
    if (told === undefined || waitMs <= 0 || !isOnlyCounts(told.mount, mount)) {
      this.#now(mount)
      return
    }
    if (told.next === undefined) {
      this.#clock.after(waitMs, () => {
        // Unless it was told, or removed, meanwhile.
        if (this.#told.get(id) === told && told.next !== undefined) this.#now(told.next)
      })
    }
    told.next = mount
  }

  removed(mountId: string): void {
    this.#told.delete(mountId)
  }

  #now(mount: Mount): void {
    this.#told.set(mount.record.id, { mount, at: this.#clock.monotonic() })
    this.#tell(mount)
  }
}

function isOnlyCounts(before: Mount, after: Mount): boolean {
  const becomesUnsafe = before.status.queue?.files === 0 && after.status.queue?.files !== 0
  return !becomesUnsafe && isDeepStrictEqual(withoutCounts(before), withoutCounts(after))
}

function withoutCounts({ record, status }: Mount): object {
  return { record, status: { ...status, queue: status.queue === null, cache: null, hidden: 0 } }
}
