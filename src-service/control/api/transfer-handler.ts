import type { MessageInitShape } from '@bufbuild/protobuf'
import type { ServiceImpl } from '@connectrpc/connect'
import { TransferKind, TransferState } from '../../../proto/gen/cloudmoor/v1/transfer_pb.js'
import type { TransferSchema, TransferService } from '../../../proto/gen/cloudmoor/v1/transfer_pb.js'
import { CloudError } from '../../common/errors.ts'
import type { MountManager, Transfer } from '../mounts/mount-manager-contract.ts'
import { sightOf } from './call.ts'
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
      const { signal } = context
      const sight = sightOf(context)
      const limit = readLimit('limit', request.limit, 100, 1000)
      if (request.mountId !== '') {
        const transfers = await mounts.transfers(request.mountId, limit, signal)
        return { transfers: transfers.map((transfer) => writeTransfer(request.mountId, transfer)) }
      }
      const ids = (await mounts.list(signal)).map((mount) => mount.record.id).filter((id) => sight.mount(id))
      const answers = await Promise.all(ids.map((id) => askOne(mounts, id, limit, signal)))
      return {
        transfers: answers.flatMap(({ id, transfers }) => (transfers ?? []).map((transfer) => writeTransfer(id, transfer))),
        unavailableMountIds: answers.filter(({ transfers }) => transfers === null).map(({ id }) => id),
      }
    },

    retryTransfers: async (request, { signal }) => {
      const transferId = request.transferId === 0n ? 'all' : readInteger('transfer_id', request.transferId)
      await mounts.retry(request.mountId, transferId, signal)
      return {}
    },
  }
}

/** Null = the mount cannot be asked now. */
async function askOne(mounts: MountManager, id: string, limit: number, signal: AbortSignal) {
  try {
    return { id, transfers: await mounts.transfers(id, limit, signal) }
  } catch (caught) {
    if (CloudError.from(caught).kind === 'internal') throw caught
    return { id, transfers: null }
  }
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
