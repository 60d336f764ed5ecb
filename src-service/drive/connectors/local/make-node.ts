import fs from 'node:fs'
import { CloudError, unreachable } from '../../../common/errors.ts'
import type { Native } from '../../../common/native/native.ts'
import type { RemoteType, UploadSource, WriteOptions } from '../connector.ts'
import { modeOf } from '../posix-mode.ts'

const chunkSize = 2 ** 20

/** Creates `path`, which must not exist, with the contents or as the node that `type` says. Attributes follow. */
export async function makeNode(
  native: Native | null,
  path: Buffer,
  type: RemoteType,
  source: UploadSource,
  options: WriteOptions,
  signal: AbortSignal,
): Promise<void> {
  switch (type) {
    case 'file': {
      await fillFile(path, source, options, signal)
      return
    }
    case 'symlink': {
      const target = options.posix.target
      if (!target) throw new CloudError('invalid', 'a symlink needs a target')
      await fs.promises.symlink(target, path)
      return
    }
    case 'fifo':
    case 'socket':
      if (!native) throw new CloudError('unsupported', 'special nodes need the native addon')
      {
        await native.mknod(path, modeOf(type, 0o600), 0, 0)
        return
      }
    case 'char':
    case 'block': // A real device node here would be a hole into this machine; the record beside the empty file says what it is.
      {
        await fs.promises.writeFile(path, '', { flag: 'wx', mode: 0o600 })
        return
      }
    case 'folder':
      throw new CloudError('invalid', 'a folder is not written but made')
    default:
      return unreachable(type)
  }
}

async function fillFile(path: Buffer, source: UploadSource, options: WriteOptions, signal: AbortSignal): Promise<void> {
  const handle = await fs.promises.open(path, 'wx', 0o666)
  try {
    for (let position = 0; position < source.size; ) {
      signal.throwIfAborted()
      const chunk = await source.read(position, Math.min(position + chunkSize, source.size), signal)
      if (chunk.length === 0) throw new CloudError('internal', 'the source of an upload ended early')
      for (let written = 0; written < chunk.length; ) {
        const { bytesWritten } = await handle.write(chunk, written, chunk.length - written, position)
        written += bytesWritten
        position += bytesWritten
      }
      options.onProgress(position)
    }
  } finally {
    await handle.close()
  }
}
