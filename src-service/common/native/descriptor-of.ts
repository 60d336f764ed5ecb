import type { Socket } from 'node:net'
import { CloudError } from '../errors.ts'

/** Descriptor of a connected socket, for what Node itself cannot ask of it. Throws `internal` if it has none. */
export function descriptorOf(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle')
  const descriptor: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined
  if (typeof descriptor === 'number' && descriptor >= 0) return descriptor
  throw new CloudError('internal', 'the connection has no descriptor')
}
