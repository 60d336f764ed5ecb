import type { Transfer } from '../../../common/drive-state.ts'
import type { MountManager } from '../../mounts/mount-manager-contract.ts'
import type { AuditRecord } from '../../store/access-records.ts'
import type { Audit } from '../../users/audit.ts'
import { everyLine } from '../../users/audit.ts'
import { openLogReader } from '../log-reader.ts'
import type { LogLine } from '../log-reader.ts'
import type { LiveSource } from './live-feed.ts'

export interface TransferOf {
  readonly mountId: string
  readonly transfer: Transfer
}

/** Most transfers of one mount that are told of at a time. */
const watched = 100

/** Transfers that moved since the last look. Only mounts that upload are asked. */
export function progressSource(mounts: Pick<MountManager, 'list' | 'transfers'>): LiveSource<TransferOf> {
  let known = new Map<string, string>()
  return {
    next: async (signal) => {
      const moved: TransferOf[] = []
      const seen = new Map<string, string>()
      for (const { record, status } of await mounts.list(signal)) {
        if ((status.queue?.uploading ?? 0) === 0) continue
        for (const transfer of await mounts.transfers(record.id, watched, signal)) {
          if (transfer.state !== 'running') continue
          const key = `${record.id} ${transfer.id}`
          const state = `${transfer.done}/${transfer.size}`
          if (known.get(key) !== state) moved.push({ mountId: record.id, transfer })
          seen.set(key, state)
        }
      }
      known = seen
      return moved
    },
    close: () => Promise.resolve(),
  }
}

/** Log lines from now on. */
export function logSource(folder: string): LiveSource<LogLine> {
  const reader = openLogReader(folder)
  let begun = false
  return {
    next: async () => {
      if (begun) return reader.next()
      begun = true
      await reader.last(0, () => false)
      return []
    },
    close: () => reader.close(),
  }
}

/** Most audit lines of one look; the rest comes with the next. */
const auditLines = 200

/** Audit lines from now on. */
export function auditSource(audit: Pick<Audit, 'read' | 'tail'>): LiveSource<AuditRecord> {
  const filter = { ...everyLine, begun: false }
  let after: number | null = null
  return {
    next: async () => {
      if (after === null) {
        after = (await audit.tail(everyLine, 1)).at(-1)?.sequence ?? 0
        return []
      }
      const lines = await audit.read({ ...filter, after }, auditLines)
      after = lines.at(-1)?.sequence ?? after
      return lines
    },
    close: () => Promise.resolve(),
  }
}
