import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { CloudError } from '../../common/errors.ts'
import { descriptorOf } from '../../common/native/descriptor-of.ts'
import type { CallDrive } from './borrowed-drive.ts'
import type { Native } from '../../common/native/native.ts'

type Peers = Pick<Native, 'peerCredentials'>

const askMs = 30_000
const connectMs = 5_000

/** Work on a connection to what the worker of a mount serves contents on. */
export function withContents<T>(native: Peers, mountId: string, work: (connection: Socket) => Promise<T>): (call: CallDrive) => Promise<T> {
  return async (call) => work(await connectContents(native, (await call('contents', { mountId }, askMs)).socket))
}

/** Connects to what a worker serves contents on. Throws `offline` if nobody is there, `access` if somebody else is. */
async function connectContents(native: Peers, path: string): Promise<Socket> {
  const socket = connect(path)
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(connectMs) })
    if (native.peerCredentials(descriptorOf(socket)).uid === process.getuid?.()) return socket
  } catch (caught) {
    socket.destroy()
    throw new CloudError('offline', 'the worker is gone', { cause: caught })
  }
  socket.destroy()
  throw new CloudError('access', 'a stranger listens on the socket of a worker')
}
