import { CloudError } from '../../common/errors.ts'
import type { DriveCall, Exported, Safety } from '../../common/frames/drive-calls.ts'
import type { OpenDrive } from '../../common/frames/messages.ts'
import type { Places } from '../../common/paths.ts'
import { serialise } from '../../common/serialise.ts'
import type { MountRecord } from '../store/records.ts'
import { type RateUser, type Seat } from './account-rates.ts'
import { withDrive } from './borrowed-drive.ts'
import { type DriveNote, findDrive, findDrives, type FoundDrive, removeDrive } from './drive-notes.ts'
import type { QueueCounts } from '../../common/drive-state.ts'
import type { AdoptWish, Mount, Orphan, Orphans } from './mount-manager-contract.ts'
import { type AccountSource, type PlanParts, planMount } from './mount-plan.ts'
import type { WorkerPool } from './worker-pool.ts'

export interface OrphanParts {
  readonly places: Places
  readonly plans: PlanParts
  readonly pool: WorkerPool
  readonly join: (note: DriveNote, perSecond: number, user: RateUser) => Promise<Seat>
  /** Ids of the mounts that are configured. */
  readonly mountIds: () => ReadonlySet<string>
  /** Makes the mount of what was found. */
  readonly adopt: (found: FoundDrive, wish: AdoptWish) => Promise<Mount>
  readonly tell: (queues: readonly (QueueCounts | null)[]) => void
}

interface Count {
  readonly queue: QueueCounts
  readonly conflicts: number
}

const statusMs = 30_000
const exportMs = 3_600_000

/** What lies on this home without a mount. The folders are the truth: nothing of it stands in the service's database. */
export class DriveOrphans implements Orphans {
  readonly #parts: OrphanParts
  readonly #counts = new Map<string, Count | CloudError>()
  /** A drive is open once at a time. */
  readonly #inTurn = serialise()

  constructor(parts: OrphanParts) {
    this.#parts = parts
  }

  list(signal: AbortSignal): Promise<readonly Orphan[]> {
    return this.#inTurn(async () => {
      const all = await findDrives(this.#parts.places)
      const found = all.filter(({ id }) => !this.#parts.mountIds().has(id))
      for (const id of this.#counts.keys()) if (!found.some((one) => one.id === id)) this.#counts.delete(id)
      const orphans: Orphan[] = []
      for (const drive of found) orphans.push(describe(drive, await this.#count(drive, signal)))
      return orphans.sort((a, b) => (a.name + a.id < b.name + b.id ? -1 : 1))
    })
  }

  async adopt(id: string, wish: AdoptWish, signal: AbortSignal): Promise<Mount> {
    const mount = await this.#inTurn(async () => this.#parts.adopt(await this.#need(id), wish))
    await this.announce(signal)
    return mount
  }

  /** Tells what there is now. */
  async announce(signal: AbortSignal): Promise<void> {
    this.#parts.tell((await this.list(signal)).map(({ queue }) => queue))
  }

  export(id: string, folder: string, signal: AbortSignal): Promise<Exported> {
    return this.#inTurn(async () => {
      const answer = await this.#open(await this.#need(id), signal, (call) =>
        call('drive', { mountId: id, request: { call: 'exportUnsent', folder } }, exportMs),
      )
      return answer as Exported
    })
  }

  async discard(id: string, files: number, signal: AbortSignal): Promise<void> {
    await this.#inTurn(async () => {
      const drive = await this.#need(id)
      const count = await this.#count(drive, signal)
      const known = count instanceof CloudError ? 0 : count.queue.files
      if (known !== files) {
        throw new CloudError('conflict', `${known} files are not uploaded, not ${files}`, {
          hint: 'Export them first (cloudmoor orphans export), or give that number.',
        })
      }
      await removeDrive(drive, this.#parts.places, true)
      this.#counts.delete(id)
    })
    await this.announce(signal)
  }

  async #need(id: string): Promise<FoundDrive> {
    const drive = this.#parts.mountIds().has(id) ? null : await findDrive(id, this.#parts.places)
    if (drive === null) throw new CloudError('not-found', 'there is no such orphan')
    return drive
  }

  /** Once for each: nobody changes an orphan. */
  async #count(drive: FoundDrive, signal: AbortSignal): Promise<Count | CloudError> {
    const known = this.#counts.get(drive.id)
    if (known !== undefined) return known
    const mountId = drive.id
    const count = await this.#open(drive, signal, async (call) => {
      const { queue } = await call('status', { mountId }, statusMs)
      const safety = await call('drive', { mountId, request: { call: 'confirmSafe' } as DriveCall }, statusMs)
      return { queue, conflicts: (safety as Safety).conflicts }
    }).catch((caught: unknown) => CloudError.from(caught))
    if (!signal.aborted) this.#counts.set(drive.id, count)
    return count
  }

  async #open<T>(drive: FoundDrive, signal: AbortSignal, work: Parameters<typeof withDrive<T>>[4]): Promise<T> {
    const { note } = drive
    if (note === null) throw new CloudError('unsupported', 'its folder does not say which account it is of')
    const open = await this.#planOf(drive, note)
    const join = (user: RateUser) => this.#parts.join(note, open.requestsPerSecond, user)
    return withDrive({ pool: this.#parts.pool, join }, open, signal, gone, work)
  }

  /** As the mount was, but nothing is sent; its account may be gone. */
  async #planOf({ id, folder, cacheDir }: FoundDrive, note: DriveNote): Promise<OpenDrive> {
    const { plans } = this.#parts
    const { name, type, options } = note.provider
    const accounts: AccountSource = {
      account: (providerId, mountId) => plans.accounts.account(providerId, mountId).catch(() => ({ type, options, secrets: {} })),
      bareAccount: () => Promise.resolve({ name, type, options }),
    }
    const record: MountRecord = { ...note.mount, id, cacheDir }
    const { open } = await planMount(record, { ...plans, accounts })
    return { ...open, folder, held: true }
  }
}

function gone(): never {
  throw new CloudError('not-found', 'there is no such orphan')
}

function describe({ id, folder, note }: FoundDrive, count: Count | CloudError): Orphan {
  const { name = '', path = '', remoteRoot = '' } = note?.mount ?? {}
  const provider = note === null ? null : { id: note.provider.id, name: note.provider.name, type: note.provider.type }
  const failed = count instanceof CloudError
  return {
    ...{ id, name, folder, path, provider, remoteRoot },
    ...(failed ? { queue: null, conflicts: 0, reason: count.message } : { queue: count.queue, conflicts: count.conflicts, reason: '' }),
  }
}
