import { CloudError } from '../../common/errors.ts'

/** The answer of a drive; `not-found` where the mount was never up. */
export function needDrive<T>(answer: T | null): T {
  if (answer === null) throw new CloudError('not-found', 'the mount was never up: nothing of it is known here')
  return answer
}
