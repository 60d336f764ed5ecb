import { bytesOf } from '../../connectors/bytes-of.ts'
import type { Precondition, RemoteEntry, RemotePlace, UploadSource } from '../../connectors/connector.ts'
import type { RemoteRow } from '../tree.ts'
import { posixOf } from './identity.ts'
import type { QueueParts, StepContext } from './queue-parts.ts'

const comparedAtOnce = 4 * 1024 * 1024

/** Copies one object that is not a folder: at the provider where it can, else its bytes go through this machine. */
export function transfer(
  parts: QueueParts,
  source: RemoteRow,
  from: RemotePlace,
  to: RemotePlace,
  precondition: Precondition,
  step: StepContext,
): Promise<RemoteEntry> {
  const { connector, tree } = parts
  const node = tree.node(source.node)
  const posix = node === undefined ? {} : posixOf(node)
  if (connector.capabilities.copy && connector.copy !== undefined)
    return connector.copy(from, to, source.rev, posix, precondition, step.signal)
  const options = { precondition, posix, resume: null, saveHandle: () => Promise.resolve(), onProgress: step.progress }
  return connector.write(to, source.type, throughUs(parts, source, from), options, step.signal)
}

/** The provider's own bytes, read from one place to be written to another. */
function throughUs({ connector }: QueueParts, source: RemoteRow, from: RemotePlace): UploadSource {
  return {
    size: source.type === 'file' ? source.size : 0,
    read: (start, end, signal) => bytesOf(connector.read(from, start, end, source.rev, signal)),
  }
}

/** True if two objects at the provider have the same bytes, as far as they are of the same size. */
export async function isSameThere(
  { connector }: QueueParts,
  one: RemotePlace,
  a: RemoteEntry,
  other: RemotePlace,
  b: RemoteEntry,
  signal: AbortSignal,
): Promise<boolean> {
  if (a.size !== b.size || a.type !== b.type) return false
  for (let start = 0; start < a.size; start += comparedAtOnce) {
    const end = Math.min(a.size, start + comparedAtOnce)
    const [left, right] = await Promise.all([
      bytesOf(connector.read(one, start, end, a.rev, signal)),
      bytesOf(connector.read(other, start, end, b.rev, signal)),
    ])
    if (!left.equals(right)) return false
  }
  return true
}
