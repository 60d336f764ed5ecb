import type { ContextValues } from '@connectrpc/connect'
import { ConnectError } from '@connectrpc/connect'
import { CloudError } from '../../../common/errors.ts'
import type { Log } from '../../../common/telemetry/log.ts'
import type { MountManager } from '../../mounts/mount-manager-contract.ts'
import { correlationKey } from '../call.ts'
import type { Visitor } from '../call.ts'
import { takeTime } from '../connections.ts'
import type { Request, Response } from '../connections.ts'
import type { Guard } from '../guard-calls.ts'
import { needDrive } from '../need-drive.ts'
import type { MethodPolicy } from '../policies.ts'
import { refuseRoute, valuesOf } from '../rest/refuse-route.ts'
import { writeError } from '../rest/write-answer.ts'
import type { ContentsPath } from './contents-path.ts'
import { forward } from './forward.ts'

export interface ContentsOptions {
  readonly mounts: Pick<MountManager, 'contents'>
  readonly guard: Guard
  readonly log: Log
  /** Aborted when the service ends. */
  readonly ending: AbortSignal
  /** Milliseconds without a byte in either direction; 2 minutes if not given. */
  readonly idleMs?: number
}

export type ContentsGateway = (request: Request, response: Response, visitor: Visitor, target: ContentsPath) => void

/** Each holds some buffers of 1 MiB in its worker. */
const mostTransfers = 64
const defaultIdleMs = 120_000
/** Milliseconds for the rest of a body that nobody wants any more. */
const restMs = 5_000

const verbs = ['GET', 'HEAD', 'PUT']

const ofMount = {
  ...{ open: false, wholeGrant: false, filtered: false, providerOf: undefined, deadlineMs: null },
  mountOf: (request: object) => String(Reflect.get(request, 'mountId')),
}

/** The rights: `files.read` has who sees a mount, `files.write` who runs it. A look at the headers alone is not recorded. */
const rights: Readonly<Record<string, { readonly name: string; readonly policy: MethodPolicy }>> = {
  GET: { name: 'files.read', policy: { ...ofMount, role: 'read-only', audit: 'runtime' } },
  HEAD: { name: 'files.read', policy: { ...ofMount, role: 'read-only', audit: 'read' } },
  PUT: { name: 'files.write', policy: { ...ofMount, role: 'operator', audit: 'runtime' } },
}

/**
 * Contents of files over plain HTTP, as they stand in the drive: the service lets in or refuses, the mount's worker reads, writes and
 * looks at ranges and conditions. Bytes pass through as fast as the slower end takes them.
 */
export function createContentsGateway({ mounts, guard, log, ending, idleMs = defaultIdleMs }: ContentsOptions): ContentsGateway {
  let transfers = 0

  async function transfer(request: Request, response: Response, values: ContextValues, target: ContentsPath, signal: AbortSignal) {
    if (transfers >= mostTransfers) {
      throw new CloudError('unavailable', `more than ${mostTransfers} contents are under way`, { code: 'TOO_MANY_STREAMS' })
    }
    transfers++
    try {
      const correlationId = values.get(correlationKey)
      const one = { request, response, target, correlationId, idleMs, signal }
      needDrive(await mounts.contents(target.mountId, signal, (connection) => forward({ ...one, connection }).then(() => true)))
    } finally {
      transfers--
    }
  }

  async function answer(request: Request, response: Response, visitor: Visitor, target: ContentsPath, gone: AbortSignal): Promise<void> {
    const right = rights[request.method ?? '']
    if (right === undefined) {
      refuseRoute(guard, request, response, visitor, verbs)
      return
    }
    takeTime(request)
    const values = valuesOf(visitor)
    try {
      const about = { mountId: target.mountId, path: target.path }
      const signal = AbortSignal.any([gone, ending])
      await guard.enter({ values, headers: request.headers, ...right, about, signal }, (open) =>
        transfer(request, response, values, target, open),
      )
    } catch (caught) {
      const error = ConnectError.from(caught)
      if (response.headersSent) response.destroy()
      else writeError(response, error, values.get(correlationKey), isConditional(request))
      endBody(request)
    }
  }

  return (request, response, visitor, target) => {
    const gone = new AbortController()
    response.once('close', () => gone.abort(new CloudError('cancelled', 'the client went')))
    answer(request, response, visitor, target, gone.signal).catch((caught: unknown) => {
      log.write('error', 'an answer could not be written', { error: CloudError.from(caught) })
      response.destroy()
    })
  }
}

function isConditional({ method, headers }: Request): boolean {
  return headers['if-match'] !== undefined || (method === 'PUT' && headers['if-none-match'] !== undefined)
}

/** Reads on for a moment, so that the client gets to read its answer. */
function endBody(request: Request): void {
  if (request.complete) return
  request.resume()
  const timer = setTimeout(() => request.destroy(), restMs)
  request.once('close', () => clearTimeout(timer))
  request.once('end', () => clearTimeout(timer))
}
