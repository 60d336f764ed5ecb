/** Conditions where the server keeps them, and by looking first where it does not. */
import { CloudError } from '../../../common/errors.ts'
import type { Precondition } from '../connector.ts'
import type { Support } from './dialects.ts'
import { noKey } from './s3-client.ts'
import type { S3Client } from './s3-client.ts'
import type { S3Place } from './s3-place.ts'
import { headObject } from './stat-object.ts'

/**
 * Runs a change of `place` under a precondition. A server that refuses conditions altogether (501) is not asked again.
 * @throws CloudError `conflict`
 */
export class Conditions {
  readonly #client: S3Client
  #put: Support

  constructor(client: S3Client) {
    this.#client = client
    this.#put = client.settings.dialect.conditionalPut
  }

  /** What `write` can promise. */
  get put(): Support {
    return this.#put
  }

  /** @param run gets the precondition that is left for the server to check */
  async forPut<T>(place: S3Place, precondition: Precondition, signal: AbortSignal, run: (left: Precondition) => Promise<T>): Promise<T> {
    try {
      return await this.run(this.#put, place, precondition, signal, run)
    } catch (caught) {
      const error = CloudError.from(caught)
      if (error.kind !== 'unsupported' || this.#put === 'no' || precondition.kind === 'any') throw error
      this.#put = 'no'
      return await this.run('no', place, precondition, signal, run)
    }
  }

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

function changed(cause: CloudError | undefined): CloudError {
  return new CloudError('conflict', 'the object was changed meanwhile', cause ? { cause } : {})
}
