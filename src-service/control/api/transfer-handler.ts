import type { Transfer } from '../../common/drive-state.ts'
import type { MessageInitShape } from '@bufbuild/protobuf'
import type { ServiceImpl } from '@connectrpc/connect'
import { TransferKind, TransferState } from '../../../proto/gen/cloudmoor/v1/transfer_pb.js'
import type { TransferSchema, TransferService } from '../../../proto/gen/cloudmoor/v1/transfer_pb.js'
import type { CloudError } from '../../common/errors.ts'
import type { Safety } from '../../common/frames/drive-calls.ts'
import type { MountManager, Orphan } from '../mounts/mount-manager-contract.ts'
import { askMounts } from './ask-mounts.ts'
import { sightOf } from './call.ts'
import { orphansSeen } from './orphan-handler.ts'
import { readInteger, readLimit, writeTime } from './wire-values.ts'

const kinds: Readonly<Record<Transfer['direction'], TransferKind>> = {
  upload: TransferKind.UPLOAD,
  remove: TransferKind.REMOVE,
  move: TransferKind.MOVE,
}

const states: Readonly<Record<Transfer['state'], TransferState>> = {
  waiting: TransferState.WAITING,
  running: TransferState.RUNNING,
  retrying: TransferState.RETRYING,
  parked: TransferState.PARKED,
}

/** TransferService in terms of `MountManager`. */
export function transferHandler(mounts: MountManager): ServiceImpl<typeof TransferService> {
  return {
    listTransfers: async (request, context) => {
      const limit = readLimit('limit', request.limit, 100, 1000)
      const answers = await askMounts(mounts, request.mountId, context, (id) => mounts.transfers(id, limit, context.signal))
      return {
        transfers: answers.flatMap(({ id, answer }) => (answer ?? []).map((transfer) => writeTransfer(id, transfer))),
        unavailableMountIds: answers.filter(({ error }) => error !== null).map(({ id }) => id),
      }
    },

    retryTransfers: async (request, { signal }) => {
      const transferId = request.transferId === 0n ? 'all' : readInteger('transfer_id', request.transferId)
      await mounts.retry(request.mountId, transferId, signal)
      return {}
    },

    confirmSafe: async (request, context) => {
      const ask = (id: string) => mounts.ask(id, 'confirmSafe', {}, context.signal)
      const answers = await askMounts(mounts, request.mountId, context, ask)
      const safe = answers.map(({ id, answer, error }) => writeSafety(id, error === null ? (answer ?? allSafe) : unknown(error)))
      const orphans = await orphansSeen(mounts.orphans, request.mountId === '' && sightOf(context).whole, context.signal)
      safe.push(...orphans.map(writeOrphanSafety))
      return { onDisk: safe.every((mount) => mount.onDisk), uploaded: safe.every((mount) => mount.uploaded), mounts: safe }
    },
  }
}

/** Of a mount that was never up. */
const allSafe: Safety = { onDisk: true, uploaded: true, files: 0, bytes: 0, conflicts: 0, reason: '' }

function unknown(error: CloudError): Safety {
  return { ...allSafe, onDisk: false, uploaded: false, reason: error.message }
}

/** Nobody writes to an orphan: what it has is on the disk, as far as it can be read. */
function writeOrphanSafety({ id, queue, conflicts, reason }: Orphan) {
  const { files, bytes } = queue ?? { files: 0, bytes: 0 }
  const uploaded = queue !== null && files === 0 && conflicts === 0
  return writeSafety(id, { onDisk: queue !== null, uploaded, files, bytes, conflicts, reason: reason === '' ? 'an orphan' : reason })
}

function writeSafety(mountId: string, { onDisk, uploaded, files, bytes, conflicts, reason }: Safety) {
  return { mountId, onDisk, uploaded, pendingFiles: BigInt(files), pendingBytes: BigInt(bytes), conflicts: BigInt(conflicts), reason }
}

/** A transfer as the wire has it. */
export function writeTransfer(mountId: string, transfer: Transfer): MessageInitShape<typeof TransferSchema> {
  return {
    id: BigInt(transfer.id),
    mountId,
    path: transfer.path,
    kind: kinds[transfer.direction],
    state: states[transfer.state],
    size: BigInt(transfer.size),
    done: BigInt(transfer.done),
    tries: transfer.tries,
    ...(transfer.nextTryAt === 0 ? {} : { nextTryTime: writeTime(transfer.nextTryAt) }),
    reason: transfer.reason,
  }
}
