import { CloudError } from '../../common/errors.ts'
import type { Capabilities } from '../connectors/connector.ts'

/** Longest name that Linux programs can handle (NAME_MAX). */
const nameMax = 255

/** Names our own temporary objects have at providers; never made by programs on the mount. */
const ownPrefixes = ['.cloudmoor-tmp-', '.cloudmoor-swap-']

/** Refuses names longer than Linux knows, for every call. @throws name-too-long */
export function checkLength(name: Buffer): void {
  if (name.length > nameMax) throw new CloudError('name-too-long', 'the name is longer than 255 bytes')
}

/**
 * Refuses a new name that the provider cannot carry: it fails here, where the program sees it, not later in the queue.
 * @param pathBytes length of the folder's path at the provider.
 * @throws name-too-long, name-invalid
 */
export function checkNewName(name: Buffer, pathBytes: number, rules: Capabilities['names']): void {
  checkLength(name)
  if (name.length > rules.maxBytes) throw new CloudError('name-too-long', `the provider takes names of at most ${rules.maxBytes} bytes`)
  if (pathBytes + 1 + name.length > rules.maxPathBytes) {
    throw new CloudError('name-too-long', `the provider takes paths of at most ${rules.maxPathBytes} bytes`)
  }
  const text = name.toString('latin1')
  if (ownPrefixes.some((prefix) => text.startsWith(prefix)))
    throw new CloudError('name-invalid', 'names with this beginning are kept for CloudMoor')
  for (const forbidden of rules.forbidden) {
    if (text.includes(forbidden)) throw new CloudError('name-invalid', `the provider takes no ${JSON.stringify(forbidden)} in names`)
  }
  if (rules.trimsTrailing && /[. ]$/.test(text)) throw new CloudError('name-invalid', 'the provider drops trailing dots and spaces')
  if (rules.unicode !== 'bytes' && !Buffer.from(name.toString('utf8')).equals(name)) {
    throw new CloudError('name-invalid', 'the provider takes UTF-8 names only')
  }
}
