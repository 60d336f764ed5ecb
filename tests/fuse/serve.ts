/**
 * A worker for the tests: serves the connection on descriptors 3 (/dev/fuse) and 4 (request memory).
 * Arguments: memory | memory-slow | journal | journal-slow | passthrough, the folder for what is kept, 'fresh' or 'takenOver'.
 * Looking up `poison` kills it at once, `poison-later` after a wait; `sluggish` takes 300 ms.
 * SIGUSR1 and SIGUSR2 play another client of the cloud, see `remoteChange`.
 * Says `ready` when it reads requests; at SIGHUP it prints its counters, at SIGTERM it stops.
 */
import { openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadNative } from '../../src-service/common/native/load-native.ts'
import { openSession } from '../../src-service/drive/fuse/session.ts'
import { random } from '../support/random.ts'
import { changed } from './changed-filesystem.ts'
import { fileContents, memoryContents } from './contents.ts'
import { openJournaled } from './journal.ts'
import type { Journaled } from './journal.ts'
import { memoryRequestLog } from './memory-request-log.ts'
import { slowly } from './slow-filesystem.ts'
import { TestFilesystem } from './test-filesystem.ts'

const [kind = 'memory', folder = '', connection] = process.argv.slice(2)

function drive(): Pick<Journaled, 'requestLog'> & { readonly filesystem: TestFilesystem } {
  if (kind.startsWith('journal')) return openJournaled(folder)
  if (kind === 'passthrough') return { filesystem: new TestFilesystem(fileContents(folder)), requestLog: memoryRequestLog() }
  return { filesystem: new TestFilesystem(memoryContents()), requestLog: memoryRequestLog() }
}

const { filesystem, requestLog } = drive()
const poisoned = changed(filesystem, {
  lookup(parent, name) {
    if (name.toString() === 'poison') process.kill(process.pid, 'SIGKILL')
    if (name.toString() === 'poison-later') return sleep(20).then(() => (process.kill(process.pid, 'SIGKILL'), null))
    if (name.toString() === 'sluggish') return sleep(300).then(() => filesystem.lookup(parent, name))
    return filesystem.lookup(parent, name)
  },
  open(node, options) {
    const opened = filesystem.open(node, options)
    if (kind !== 'passthrough' || (options.flags & 3) !== 0) return opened
    return { ...opened, backingId: native.backingOpen(3, openSync(join(folder, String(node)), 'r')) }
  },
})
const native = loadNative()
const say = (line: string): void => void writeSync(1, `${line}\n`)
const session = openSession({
  native,
  fuseFd: 3,
  memoryFd: 4,
  filesystem: kind.endsWith('-slow') ? slowly(poisoned, () => random() * 2) : poisoned,
  requestLog,
  takenOver: connection === 'takenOver',
  allowPassthrough: kind === 'passthrough',
  deadlines: { metadataMs: 15_000, readMs: 60_000 },
  onClosed: () => process.exit(0),
  log: (level, message, fields) => say(`${level} ${message} ${JSON.stringify(fields ?? {})}`),
})
process.on('SIGHUP', () => say(`counters ${JSON.stringify(session.counters())}`))
process.once('SIGTERM', () => {
  session.stop()
  process.exit(0)
})

/** A file appears or changes its size without the kernel having asked for it. */
function remoteChange(name: string, size: number, tell: (node: number) => void): void {
  const caller = { uid: 0, gid: 0, pid: 0 }
  const { id } = filesystem.lookup(1, Buffer.from(name)) ?? filesystem.mknod(caller, 1, Buffer.from(name), 0o100644, 0)()
  filesystem.setattr(caller, id, { size, killPrivileges: false })()
  tell(id)
}
process.on('SIGUSR1', () => {
  remoteChange('appears', 5, () => session.notifier.entryChanged(1, Buffer.from('appears')))
  remoteChange('grows', 5, (node) => session.notifier.attributesChanged(node))
  say('told')
})
process.on('SIGUSR2', () => {
  remoteChange('also-appears', 7, () => session.notifier.everythingChanged())
  say('told')
})

await session.ready
say('ready')
