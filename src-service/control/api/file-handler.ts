import type { FileStatus } from '../../common/drive-state.ts'
import type { ServiceImpl } from '@connectrpc/connect'
import { FileState, FileType } from '../../../proto/gen/cloudmoor/v1/file_pb.js'
import type { FileService } from '../../../proto/gen/cloudmoor/v1/file_pb.js'
import { checkOnWire } from './check-wire.ts'
import { CloudError } from '../../common/errors.ts'
import type { FileEntry, FilePage, Freed } from '../../common/frames/drive-calls.ts'
import type { MountManager } from '../mounts/mount-manager-contract.ts'
import { needDrive } from './need-drive.ts'
import { readLimit, writeTime } from './wire-values.ts'

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

    listFiles: async ({ mountId, path, pageSize, pageToken }, { signal }) => {
      const page = { after: readToken(pageToken), limit: readLimit('page_size', pageSize, 100, 1000) }
      return writePage(needDrive(await mounts.ask(mountId, 'listFolder', { path, ...page }, signal)))
    },

    searchFiles: async ({ mountId, path, text, pageSize, pageToken }, { signal }) => {
      const page = { after: readToken(pageToken), limit: readLimit('page_size', pageSize, 100, 1000) }
      return writePage(needDrive(await mounts.ask(mountId, 'search', { path, text, ...page }, signal)))
    },

    pinFile: async ({ mountId, path, unpin }, { signal }) => {
      const { files } = needDrive(await mounts.ask(mountId, 'pin', { path, pinned: !unpin }, signal))
      return { files: BigInt(files) }
    },

    freeFile: async ({ mountId, path }, { signal }) => writeFreed(needDrive(await mounts.ask(mountId, 'free', { path }, signal))),

    renameFile: async ({ mountId, path, newPath, replace }, { signal }) => {
      needDrive(await mounts.ask(mountId, 'rename', { path, to: newPath, replace }, signal))
      return {}
    },

    removeFile: async ({ mountId, path, recursive }, { signal }) => {
      const { removed } = needDrive(await mounts.ask(mountId, 'remove', { path, recursive }, signal))
      return { removed: BigInt(removed) }
    },
  }
}

/** Tokens are the ids of the last entries: entries may come and go meanwhile. */
function readToken(token: string): number {
  if (token === '') return 0
  if (/^[1-9]\d{0,14}$/.test(token)) return Number(token)
  throw new CloudError('invalid', 'page_token is not one of ours')
}

function writePage({ entries, next }: FilePage) {
  return { files: entries.map(writeFile), nextPageToken: next === 0 ? '' : String(next) }
}

function writeFile(entry: FileEntry) {
  return {
    path: entry.path,
    name: entry.name,
    type: types[entry.type],
    size: BigInt(entry.size),
    modifyTime: writeTime(entry.modifiedAt),
    state: states[entry.state],
    localBytes: BigInt(entry.localBytes),
    reason: entry.reason,
  }
}

function writeFreed({ bytes, kept }: Freed) {
  return { freedBytes: BigInt(bytes), keptFiles: BigInt(kept) }
}
