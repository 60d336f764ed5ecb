import { CloudError } from '../../common/errors.ts'
import type { RunningWorker } from './run-worker.ts'

/** EX_SOFTWARE: the supervisor starts a successor, which takes over the unanswered requests. */
const crashed = 70

/** What ends a worker: SIGTERM persists first; an error that nobody caught ends it at once, because its state is not known any more. */
export function guardProcess(worker: RunningWorker): void {
  process.on('SIGTERM', () => void worker.end())
  // The terminal of the service is not the worker's business.
  process.on('SIGINT', () => {})
  process.on('SIGHUP', () => {})
  const crash = (caught: unknown) => {
    const error = CloudError.from(caught)
    worker.log('error', `the worker ends: ${error.message}`, { kind: error.kind })
    console.error(caught)
    process.exit(crashed)
  }
  process.on('uncaughtException', crash)
  process.on('unhandledRejection', crash)
}
