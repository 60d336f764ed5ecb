import { pause, systemClock } from '../common/clock.ts'
import { CloudError } from '../common/errors.ts'
import type { ContentsHost } from './cache/contents.ts'
import { keyOf, type Places } from './cache/places.ts'
import type { Reachability } from './cache/reachability.ts'
import type { UploadQueue } from './cache/sync.ts'
import type { Tree } from './cache/tree.ts'
import type { Connector } from './connectors/connector.ts'

/** Milliseconds between two looks for bytes that are on their way to another place. */
const lookAgainMs = 100

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
  /** Nothing is said of bytes that are on their way: who reads them waits, what is only likely to be read is left. */
  const untilMoved = async (node: number, absent: CloudError, priority: 'reader' | 'ahead', signal: AbortSignal): Promise<void> => {
    if (!places.isMoving(node)) throw absent
    if (priority === 'ahead') throw new CloudError('busy', 'the file is being moved at the provider', { cause: absent })
    await pause(systemClock, lookAgainMs, signal)
    if (signal.aborted) throw CloudError.from(signal.reason)
  }
  const fault = tree.database.sql.prepare('UPDATE node SET fault = ? WHERE id = ?')
  return {
    async *readRemote(node, start, end, rev, priority, signal) {
      for (let position = start; ; ) {
        const closed = reachability.failFast()
        if (closed !== undefined) throw closed
        const wanted = rev()
        const asked: string[] = []
        let absent = new CloudError('conflict', 'the provider does not have this version any more')
        for (const place of places.placesOfBytes(node, wanted)) {
          asked.push(keyOf(place))
          try {
            for await (const chunk of connector.read(place, position, end, wanted, signal)) {
              position += chunk.length
              yield chunk
            }
            return
          } catch (caught) {
            const error = CloudError.from(caught)
            reachability.failed(error)
            if (error.kind !== 'not-found' && error.kind !== 'conflict') throw error
            absent = error
          }
        }
        const isMoved = rev() !== wanted || [...places.placesOfBytes(node, wanted)].map(keyOf).join() !== asked.join()
        if (!isMoved) await untilMoved(node, absent, priority, signal)
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
