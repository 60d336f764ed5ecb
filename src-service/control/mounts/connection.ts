import { bookDeath, type Death, holdsRequests } from './death-record.ts'
import type { KernelConnection } from './kernel-connection.ts'
import type { RcloneConnection } from './rclone-connection.ts'

/** What shows a mount to the kernel: we ourselves, or rclone. */
export type Connection = KernelConnection | RcloneConnection

/**
 * Books the death of the worker that served it.
 * @param recent deaths within a minute: with rclone in between, nobody can see what was being asked for, so all of them count
 */
export function deathOf(connection: Connection, wasServing: boolean, recent: number): Pick<Death, 'fruitless' | 'namedTimes'> {
  if (connection.kind === 'rclone') return { fruitless: recent, namedTimes: 0 }
  return bookDeath(connection.page, !wasServing || holdsRequests(connection.memoryFd, connection.page))
}
