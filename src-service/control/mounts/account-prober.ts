import { CloudError } from '../../common/errors.ts'
import type { Account as WireAccount, Method, Methods } from '../../common/frames/messages.ts'
import type { Account, AccountProber } from '../providers/account.ts'
import type { FolderPage } from './mount-manager-contract.ts'
import type { WorkerPool } from './worker-pool.ts'

/** Probing signs in, measures and asks for the space that is left; a slow provider gets its own deadlines inside. */
const taskMs = 90_000
const exitMs = 2_000

export interface AccountBrowser extends AccountProber {
  /** One folder of an account, at most `limit` entries. */
  browse(account: Account, path: string, limit: number, signal: AbortSignal): Promise<FolderPage>
}

/** Tries accounts and looks into them: each time in a worker of its own, which ends afterwards and takes the secrets with it. */
export function createAccountProber(pool: WorkerPool): AccountBrowser {
  return {
    probe: async (account, remoteRoot, signal) => {
      const result = await inWorker(pool, 'probe', { ...onWire(account, remoteRoot), write: true }, signal)
      return result.checks
    },
    browse: async (account, path, limit, signal) => {
      const { entries, more } = await inWorker(pool, 'browse', { ...onWire(account, ''), path, limit }, signal)
      return {
        truncated: more,
        entries: entries.map(({ name, type, size, modified }) => ({ name, folder: type === 'folder', size, modifiedAt: modified })),
      }
    },
  }
}

async function inWorker<M extends Method>(
  pool: WorkerPool,
  method: M,
  params: Methods[M]['params'],
  signal: AbortSignal,
): Promise<Methods[M]['result']> {
  const worker = await pool.take()
  try {
    return await worker.link.call(method, params, { deadlineMs: taskMs, signal })
  } catch (caught) {
    // A worker's death says nothing about the provider.
    if (worker.link.isOpen) throw caught
    throw new CloudError('unavailable', 'the worker that tried the account ended', { cause: caught, code: 'WORKER_UNAVAILABLE' })
  } finally {
    void worker.exit(exitMs)
  }
}

function onWire(account: Account, remoteRoot: string): WireAccount {
  const secrets = Object.fromEntries(Object.entries(account.secrets).map(([name, secret]) => [name, secret.reveal()]))
  return { type: account.type, options: account.options, secrets, remoteRoot }
}
