import type { Clock } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'

/**
 * Waits for `work` no longer than this. What hangs in the kernel goes on hanging on its pool thread; only the waiting ends.
 * @throws timeout
 */
export function withDeadline<T>(clock: Clock, milliseconds: number, what: string, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(milliseconds, () => reject(new CloudError('timeout', `${what} took more than ${milliseconds} ms`)))
    work.then(resolve, reject).finally(cancel)
  })
}
