import type { RemoteEntry, Time } from '../connectors/connector.ts'
import type { NewRemote } from './tree.ts'

/**
 * Modification time of an entry as programs see it: the one that was stored with the object, which goes along when the object
 * is copied or moved; else the provider's own, which a provider that copies gives anew.
 */
export function timeOf(entry: RemoteEntry): Time {
  return entry.posix.mtime ?? entry.mtime
}

/** What an entry says for its row. @param shown the kernel's name for it, where that differs */
export function factsOf(
  entry: RemoteEntry,
  shown: Buffer | null,
): Pick<NewRemote, 'name' | 'shown' | 'key' | 'type' | 'size' | 'mtime_s' | 'mtime_n' | 'rev'> {
  const { sec, nsec } = timeOf(entry)
  return { name: entry.name, shown, key: entry.id, type: entry.type, size: entry.size, mtime_s: sec, mtime_n: nsec, rev: entry.rev }
}
