import type { QueueCounts } from '../../common/drive-state.ts'

/** What the door can ask of the process it lives in; wired by main.ts. */
export interface ServiceControl {
  /**
   * Uploads within the bound, unmounts, ends the workers; resolves with what is left. The process ends a moment after, so
   * that the answer goes out. @param uploadTimeoutMs null = the configured stop timeout.
   */
  shutdown(uploadTimeoutMs: number | null, signal: AbortSignal): Promise<readonly UnsentMount[]>
  /**
   * Uploads within the bound, unmounts, ends the workers, does `change`, and ends a moment after with a new process in its place.
   * Resolves with what is left.
   */
  replace(uploadTimeoutMs: number | null, change: () => Promise<void>): Promise<readonly UnsentMount[]>
  /** Hands over to a new process with the mounts up; returns at once. */
  restart(): void
}

export interface UnsentMount {
  readonly mountId: string
  readonly name: string
  readonly queue: QueueCounts
}
