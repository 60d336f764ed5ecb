/** Conditions where the server keeps them, and by looking first where it does not. */
import { CloudError } from '../../../common/errors.ts'
import type { Precondition } from '../connector.ts'
import type { Dialect, Support } from './dialects.ts'
import { noKey } from './s3-client.ts'
import type { S3Client } from './s3-client.ts'
import type { S3Place } from './s3-place.ts'
import { headObject } from './stat-object.ts'

/** Runs changes of a place under a precondition. A server that refuses conditions altogether (501) is not asked again. */
export class Conditions {
  readonly #client: S3Client

  constructor(client: S3Client) {
    this.#client = client
  }

  /**
   * A PUT, or an upload in parts.
   * @param run gets the precondition that is left for the server to check
   * @throws CloudError `conflict`
   */
  async forPut<T>(
    place: S3Place,
    precondition: Precondition,
    inParts: boolean,
    signal: AbortSignal,
    run: (left: Precondition) => Promise<T>,
  ): Promise<T> {
    const kind = conditionOf(precondition, inParts)
    // The server looks at the condition of an upload in parts only when all of it has been sent.
    if (inParts) await this.look(place, precondition, signal)
    try {
      return await this.run(this.#client.dialect[kind], place, precondition, signal, run)
    } catch (caught) {
      const error = CloudError.from(caught)
      if (error.kind !== 'unsupported' || this.#client.dialect[kind] === 'no' || precondition.kind === 'any') throw error
      this.#client.learn({ [kind]: 'no' })
      return await this.run('no', place, precondition, signal, run)
    }
  }

  /** @throws CloudError `conflict` */
  async run<T>(
    support: Support,
    place: S3Place,
    precondition: Precondition,
    signal: AbortSignal,
    run: (left: Precondition) => Promise<T>,
  ): Promise<T> {
    if (support !== 'yes') await this.look(place, precondition, signal)
    try {
      return await run(support === 'no' ? { kind: 'any' } : precondition)
    } catch (caught) {
      const error = CloudError.from(caught)
      // If-Match on an object that is gone.
      if (error.code === 'NoSuchKey' && precondition.kind === 'rev') throw changed(error)
      throw error
    }
  }

  /** Compares with what is there now. @throws CloudError `conflict` */
  async look(place: S3Place, precondition: Precondition, signal: AbortSignal): Promise<void> {
    if (precondition.kind === 'any') return
    const found = await headObject(this.#client, place, noKey, signal)
    if (precondition.kind === 'absent' ? found !== null : found?.rev !== precondition.rev) throw changed(undefined)
  }
}

function conditionOf(precondition: Precondition, inParts: boolean): 'conditionalCreate' | 'conditionalReplace' | 'conditionalComplete' {
  if (inParts) return 'conditionalComplete'
  return precondition.kind === 'rev' ? 'conditionalReplace' : 'conditionalCreate'
}

/** Lost updates are impossible, whatever is written. */
export function keepsConditions({ conditionalCreate, conditionalReplace, conditionalComplete }: Dialect): boolean {
  return conditionalCreate === 'yes' && conditionalReplace === 'yes' && conditionalComplete === 'yes'
}

function changed(cause: CloudError | undefined): CloudError {
  return new CloudError('conflict', 'the object was changed meanwhile', cause ? { cause } : {})
}
