import type { ServiceImpl } from '@connectrpc/connect'
import { FileState, FileType } from '../../../proto/gen/cloudmoor/v1/file_pb.js'
import type { FileService } from '../../../proto/gen/cloudmoor/v1/file_pb.js'
import { checkOnWire } from './check-wire.ts'
import type { FileStatus, MountManager } from '../mounts/mount-manager-contract.ts'

const states: Readonly<Record<FileStatus['state'], FileState>> = {
  online: FileState.ONLINE,
  cached: FileState.CACHED,
  pinned: FileState.PINNED,
  queued: FileState.QUEUED,
  uploading: FileState.UPLOADING,
  conflict: FileState.CONFLICT,
  error: FileState.ERROR,
  ignored: FileState.IGNORED,
}

const types: Readonly<Record<FileStatus['type'], FileType>> = {
  file: FileType.FILE,
  folder: FileType.FOLDER,
  symlink: FileType.SYMLINK,
  other: FileType.OTHER,
}

/** FileService in terms of `MountManager`. */
export function fileHandler(mounts: MountManager): ServiceImpl<typeof FileService> {
  return {
    getFileState: async (request, { signal }) => {
      const status = await mounts.fileState(request.mountId, request.path, signal)
      return {
        path: status.path,
        state: states[status.state],
        type: types[status.type],
        size: BigInt(status.size),
        localBytes: BigInt(status.localBytes),
        reason: status.reason,
        localOnly: [...status.localOnly],
        sheet: status.sheet.map(checkOnWire),
      }
    },
  }
}
