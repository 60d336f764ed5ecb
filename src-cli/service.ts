import { ConnectError } from '@connectrpc/connect'
import { apiLevel, whoIsTooOld } from '../proto/client/api-level.ts'
import type { ServiceConnection } from '../proto/client/connect.ts'
import { connectService } from '../proto/client/connect.ts'
import type { SocketPlace } from '../proto/client/find-socket.ts'
import { findSocket, socketPlaces } from '../proto/client/find-socket.ts'
import { exitCodes } from './exit-codes.ts'
import { Failure } from './failure.ts'
import { fileFailure } from './local-files.ts'

/** The service that answered, and where. */
export interface Service extends ServiceConnection {
  readonly place: SocketPlace
}

/** A unix socket's address holds no more; the kernel would cut it silently. */
export const longestSocketPath = 107

/** Connects to the first service that answers. Throws a Failure (noService) that says where it looked. */
export async function connectTo(server: string | undefined): Promise<Service> {
  const place = await findPlace(server)
  if (place === null) throw noService(server)
  const connection = connectService(place.path, { timeoutMs: 60_000 })
  const version = await connection.system.getVersion({})
  const tooOld = whoIsTooOld(version.apiLevel)
  if (tooOld !== null) {
    throw new Failure(
      `the ${tooOld === 'client' ? 'command line' : 'service'} is too old: service ${version.version}, API level ${version.apiLevel} here ${apiLevel}`,
      {
        exitCode: exitCodes.noService,
        reason: 'API_LEVEL',
        hint: tooOld === 'client' ? 'update the command line' : 'update the service, then: cloudmoor service restart',
      },
    )
  }
  return { ...connection, place }
}

async function findPlace(server: string | undefined): Promise<SocketPlace | null> {
  const tooLong = socketPlaces({ server }).find((place) => Buffer.byteLength(place.path) > longestSocketPath)
  if (tooLong !== undefined) {
    throw new Failure(
      `the socket's path has ${Buffer.byteLength(tooLong.path)} bytes, and can have ${longestSocketPath}: ${tooLong.path}`,
      {
        exitCode: exitCodes.usage,
        reason: 'SOCKET_PATH',
        hint: 'choose a shorter CLOUDMOOR_HOME, XDG_RUNTIME_DIR or --server',
      },
    )
  }
  try {
    return await findSocket({ server })
  } catch (error) {
    const why = fileFailure(error)?.message ?? (error instanceof Error ? error.message : String(error))
    throw new Failure(`a service is there, but not for this user: ${why}`, {
      exitCode: exitCodes.noService,
      reason: 'NO_ACCESS',
      hint: 'a system service takes members of the group cloudmoor',
    })
  }
}

function noService(server: string | undefined): Failure {
  const looked = socketPlaces({ server }).map((place) => place.path)
  return new Failure(`no service answers (looked at ${looked.join(', ')})`, {
    exitCode: exitCodes.noService,
    reason: 'NO_SERVICE',
    hint: 'cloudmoor service start',
  })
}

/** True if the error says that the connection ended: the service went away while it was asked. */
export function isGone(error: unknown): boolean {
  if (error instanceof Failure) return error.reason === 'NO_SERVICE'
  for (let cause: unknown = ConnectError.from(error); cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && typeof cause.code === 'string' && ['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE'].includes(cause.code))
      return true
  }
  return false
}
