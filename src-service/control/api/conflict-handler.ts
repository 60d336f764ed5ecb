import type { ServiceImpl } from '@connectrpc/connect'
import { ConflictKind, Keep } from '../../../proto/gen/cloudmoor/v1/conflict_pb.js'
import type { ConflictService } from '../../../proto/gen/cloudmoor/v1/conflict_pb.js'
import { CloudError } from '../../common/errors.ts'
import type { Conflict, ConflictVersion, Keep as KeepWord } from '../../common/frames/drive-calls.ts'
import type { MountManager } from '../mounts/mount-manager-contract.ts'
import { askMounts } from './ask-mounts.ts'
import { needDrive } from './need-drive.ts'
import { readLimit, writeTime } from './wire-values.ts'

const kinds: Readonly<Record<Conflict['kind'], ConflictKind>> = {
  'both-changed': ConflictKind.BOTH_CHANGED,
  unproved: ConflictKind.UNPROVED,
}

/** ConflictService in terms of `MountManager`. */
export function conflictHandler(mounts: MountManager): ServiceImpl<typeof ConflictService> {
  return {
    listConflicts: async (request, context) => {
      const limit = readLimit('limit', request.limit, 100, 1000)
      const answers = await askMounts(mounts, request.mountId, context, (id) => mounts.ask(id, 'conflicts', { limit }, context.signal))
      return {
        conflicts: answers.flatMap(({ id, answer }) => (answer ?? []).map((conflict) => writeConflict(id, conflict))),
        unavailableMountIds: answers.filter(({ error }) => error !== null).map(({ id }) => id),
      }
    },

    resolveConflict: async (request, { signal }) => {
      const params = { conflictId: request.conflictId, keep: readKeep(request.keep) }
      return needDrive(await mounts.ask(request.mountId, 'resolveConflict', params, signal))
    },
  }
}

function readKeep(keep: Keep): KeepWord {
  switch (keep) {
    case Keep.MINE:
      return 'mine'
    case Keep.THEIRS:
      return 'theirs'
    case Keep.BOTH:
      return 'both'
    case Keep.UNSPECIFIED:
    default:
      throw new CloudError('invalid', 'keep must say which version: mine, theirs or both')
  }
}

function writeConflict(mountId: string, conflict: Conflict) {
  const { id, path, kind, at, mine, theirs } = conflict
  return {
    id,
    mountId,
    path,
    kind: kinds[kind],
    detectTime: writeTime(at),
    mine: writeVersion(mine),
    ...(theirs === null ? {} : { theirs: writeVersion(theirs) }),
  }
}

function writeVersion({ path, size, modifiedAt }: ConflictVersion) {
  return { path, size: BigInt(size), modifyTime: writeTime(modifiedAt) }
}
