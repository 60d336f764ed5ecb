/**
 * `teardown.ts HOW`: opens a door and channels and then ends in the way named, to see that nothing hangs or crashes.
 * Descriptors 3 and 4 are a mount's fuse and request memory.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { loadNative } from '../../src-service/common/native/load-native.ts'
import { serve } from './responder.ts'

function openEverything(): () => void {
  const native = loadNative()
  const folder = mkdtempSync(join(tmpdir(), 'cloudmoor-teardown-'))
  const path = join(folder, 'socket')
  const events = { onMessage: () => undefined, onClose: () => undefined }
  const { door } = serve(native, 3, 4)
  const server = native.listenChannel(path, (accept) => accept(events))
  const channel = native.connectChannel(path, events)
  channel.send(Buffer.from('hello'), [])
  const notification = Buffer.alloc(40)
  notification.writeUInt32LE(40, 0)
  notification.writeInt32LE(2, 4)
  notification.writeUInt32LE(1, 16)
  door.notifyLater(notification)
  rmSync(folder, { recursive: true })
  return () => {
    door.stop()
    server.close()
    channel.close()
  }
}

const how = process.argv[2]
if (!isMainThread) {
  openEverything()
  parentPort?.postMessage('open')
} else if (how === 'thread') {
  const worker = new Worker(new URL(import.meta.url))
  worker.once('message', () => setTimeout(() => void worker.terminate(), 100))
} else {
  const closeEverything = openEverything()
  setTimeout(() => {
    if (how === 'close') closeEverything()
    if (how === 'exit') process.exit(0)
    if (how === 'throw') throw new Error('on purpose')
  }, 100)
}
