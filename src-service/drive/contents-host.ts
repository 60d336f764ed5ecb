import { CloudError } from '../common/errors.ts'
import type { ContentsHost } from './cache/contents.ts'
import type { Places } from './cache/places.ts'
import type { Reachability } from './cache/reachability.ts'
import type { UploadQueue } from './cache/sync.ts'
import type { Tree } from './cache/tree.ts'
import type { Connector } from './connectors/connector.ts'

interface HostParts {
  readonly tree: Tree
  readonly connector: Connector
  readonly places: Places
  readonly reachability: Reachability
  readonly log: ContentsHost['log']
  /** Undefined only while the drive is being put together. */
  readonly queue: () => UploadQueue | undefined
  readonly fullChanged: () => void
}

/** What the contents need of the rest of the drive. */
export function contentsHost({ tree, connector, places, reachability, log, queue, fullChanged }: HostParts): ContentsHost {
  const fault = tree.database.sql.prepare('UPDATE node SET fault = ? WHERE id = ?')
  return {
    async *readRemote(node, start, end, rev, _priority, signal) {
      const closed = reachability.failFast()
      if (closed !== undefined) throw closed
      const found = places.placeOfNode(node, rev)
      if (found === undefined || found.row.rev !== rev) throw new CloudError('conflict', 'the provider does not have this version any more')
      try {
        yield* connector.read(found.place, start, end, rev, signal)
      } catch (caught) {
        const error = CloudError.from(caught)
        reachability.failed(error)
        throw error
      }
    },
    remoteVersion(node) {
      const found = places.placeOfNode(node)
      return found === undefined ? undefined : { rev: found.row.rev, size: found.row.size }
    },
    dirtied(node, first) {
      if (first) queue()?.nodeChanged(node)
      else queue()?.touched(node)
    },
    baseLost(node) {
      fault.run('base_lost', node)
    },
    canUpload: () => queue()?.canUpload() ?? false,
    fullChanged,
    log,
  }
}
