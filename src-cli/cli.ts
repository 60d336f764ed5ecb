import type { Output } from './output.ts'
import type { Prompts } from './prompts.ts'
import type { SocketPlace } from '../proto/client/find-socket.ts'
import type { Service } from './service.ts'

/** What commands may use of the world around them; made in main.ts, replaced in tests. */
export interface Cli {
  readonly output: Output
  /** Null where nobody can be asked: stdin or stderr is no terminal, or `--json`. */
  readonly prompts: Prompts | null
  /** All of stdin, at most 1 MiB. */
  readStdin(): Promise<string>
  /** Where services are looked for, in this order. */
  places(): readonly SocketPlace[]
  /** The first service that answers. Throws a Failure with exit code noService. */
  connect(): Promise<Service>
  /** As `connect`; starts the user's service if none runs. */
  connectOrStart(): Promise<Service>
  /** Starts the user's service with flags of its own; for when none runs. */
  startWith(flags: readonly string[]): Promise<Service>
  /** Ends at Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal
}
