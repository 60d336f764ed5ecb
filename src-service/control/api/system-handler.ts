import type { ServiceImpl } from '@connectrpc/connect'
import { apiLevel } from '../../../proto/client/api-level.ts'
import { DiagnosisResult } from '../../../proto/gen/cloudmoor/v1/system_pb.js'
import type { SystemService } from '../../../proto/gen/cloudmoor/v1/system_pb.js'
import type { MountManager } from '../mounts/mount-manager-contract.ts'
import type { Vault } from '../vault/vault.ts'
import { diagnoseVault } from '../vault/vault-diagnosis.ts'
import { sightOf } from './call.ts'
import { sumOf } from './events/pending.ts'
import { orphansSeen } from './orphan-handler.ts'
import type { ServiceControl } from './service-control.ts'
import { readDuration, writeQueue, writeTime } from './wire-values.ts'

/** What the service says of itself. */
export interface ServiceFacts {
  /** `1.2.3`. */
  readonly version: string
  /** Milliseconds since 1970. */
  readonly startedAt: number
  readonly state: string
  readonly kind: 'user' | 'system'
}

/** SystemService in terms of the service's parts. */
export function systemHandler(
  facts: ServiceFacts,
  mounts: MountManager,
  vault: Pick<Vault, 'status'>,
  service: ServiceControl,
): ServiceImpl<typeof SystemService> {
  return {
    getVersion: () => ({ version: facts.version, apiLevel }),

    getStatus: async (_request, context) => {
      const sight = sightOf(context)
      const all = (await mounts.list(context.signal)).filter(({ record }) => sight.mount(record.id))
      const orphans = await orphansSeen(mounts.orphans, sight.whole, context.signal)
      const queues = [...all.map(({ status }) => status.queue), ...orphans.map(({ queue }) => queue)]
      return {
        version: facts.version,
        pid: process.pid,
        startTime: writeTime(facts.startedAt),
        stateDir: facts.state,
        kind: facts.kind,
        mounts: all.length,
        mounted: all.filter((mount) => mount.status.state === 'mounted').length,
        queue: writeQueue(sumOf(queues.filter((queue) => queue !== null))),
        queueComplete: !queues.includes(null),
        orphans: orphans.length,
      }
    },

    diagnose: async (_request, { signal }) => {
      const results = { ok: DiagnosisResult.OK, warning: DiagnosisResult.WARNING, failure: DiagnosisResult.FAILURE }
      const found = [...(await mounts.diagnose(signal)), diagnoseVault(await vault.status())]
      return { diagnoses: found.map((diagnosis) => ({ ...diagnosis, result: results[diagnosis.result] })) }
    },

    shutdown: async (request, { signal }) => {
      const timeout = request.uploadTimeout === undefined ? null : readDuration(request.uploadTimeout)
      const unsent = await service.shutdown(timeout, signal)
      return { unsent: unsent.map(({ mountId, name, queue }) => ({ mountId, name, queue: writeQueue(queue) })) }
    },

    restart: () => {
      service.restart()
      return {}
    },
  }
}
