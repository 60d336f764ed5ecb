import { CloudError } from '../common/errors.ts'
import type { ContentsHost } from './cache/contents.ts'
import type { Places } from './cache/places.ts'
import type { Reachability } from './cache/reachability.ts'
import type { UploadQueue } from './cache/sync.ts'
import type { Tree } from './cache/tree.ts'
import type { Connector, RemotePlace } from './connectors/connector.ts'

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
  const isElsewhere = (node: number, rev: string, { path }: RemotePlace): boolean => {
    const now = places.placeOfNode(node, rev)
    if (now?.row.rev !== rev) return false
    return now.place.path.length !== path.length || now.place.path.some((name, depth) => path[depth]?.equals(name) !== true)
  }
  return {
    async *readRemote(node, start, end, rev, _priority, signal) {
      for (let position = start; ; ) {
        const closed = reachability.failFast()
        if (closed !== undefined) throw closed
        const found = places.placeOfNode(node, rev)
        if (found === undefined || found.row.rev !== rev)
          throw new CloudError('conflict', 'the provider does not have this version any more')
        try {
          for await (const chunk of connector.read(found.place, position, end, rev, signal)) {
            position += chunk.length
            yield chunk
          }
          return
        } catch (caught) {
          const error = CloudError.from(caught)
          // Moved by us meanwhile: the same version is at another place now, and read on there.
          if ((error.kind === 'not-found' || error.kind === 'conflict') && isElsewhere(node, rev, found.place)) continue
          reachability.failed(error)
          throw error
        }
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
