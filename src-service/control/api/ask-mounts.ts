import type { HandlerContext } from '@connectrpc/connect'
import { CloudError } from '../../common/errors.ts'
import type { MountManager } from '../mounts/mount-manager-contract.ts'
import { sightOf } from './call.ts'

interface Answer<T> {
  readonly id: string
  /** Null where `error` is not. */
  readonly answer: T | null
  readonly error: CloudError | null
}

/** Asks one mount, whose errors are thrown, or ('') all that the caller sees, whose errors stand beside the other answers. */
export async function askMounts<T>(
  mounts: Pick<MountManager, 'list'>,
  mountId: string,
  context: Pick<HandlerContext, 'signal' | 'values'>,
  ask: (id: string) => Promise<T>,
): Promise<readonly Answer<T>[]> {
  if (mountId !== '') return [{ id: mountId, answer: await ask(mountId), error: null }]
  const sight = sightOf(context)
  const ids = (await mounts.list(context.signal)).map((mount) => mount.record.id).filter((id) => sight.mount(id))
  return Promise.all(ids.map((id) => askOne(id, ask)))
}

async function askOne<T>(id: string, ask: (id: string) => Promise<T>): Promise<Answer<T>> {
  try {
    return { id, answer: await ask(id), error: null }
  } catch (caught) {
    const error = CloudError.from(caught)
    if (error.kind === 'internal') throw error
    return { id, answer: null, error }
  }
}
