import type { Precondition, RemoteEntry, RemotePlace, UploadSource } from '../../connectors/connector.ts'
import type { RemoteRow } from '../tree.ts'
import { posixOf } from './identity.ts'
import type { QueueParts, StepContext } from './queue-parts.ts'

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
  if (connector.capabilities.copy && connector.copy !== undefined) return connector.copy(from, to, source.rev, posix, precondition, step.signal)
  const options = { precondition, posix, resume: null, saveHandle: () => Promise.resolve(), onProgress: step.progress }
  return connector.write(to, source.type, throughUs(parts, source, from), options, step.signal)
}

/** The provider's own bytes, read from one place to be written to another. */
function throughUs({ connector }: QueueParts, source: RemoteRow, from: RemotePlace): UploadSource {
  return {
    size: source.type === 'file' ? source.size : 0,
    read: async (start, end, signal) => {
      const chunks: Uint8Array[] = []
      for await (const chunk of connector.read(from, start, end, source.rev, signal)) chunks.push(chunk)
      return Buffer.concat(chunks)
    },
  }
}
