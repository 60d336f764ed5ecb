/**
 * A worker for the tests: serves the connection on descriptors 3 (/dev/fuse) and 4 (request memory).
 * Arguments: memory | memory-slow | journal | journal-slow, the folder of the journal, 'fresh' or 'takenOver'.
 * Looking up `poison` kills it at once, `poison-later` after a wait. Says `ready` when it reads requests; at SIGTERM it stops and prints its counters.
 */
import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadNative } from '../../src-service/common/native/load-native.ts'
import { openSession } from '../../src-service/drive/fuse/session.ts'
import { changed } from './changed-filesystem.ts'
import { memoryContents } from './contents.ts'
import { openJournaled } from './journal.ts'
import type { Journaled } from './journal.ts'
import { memoryRequestLog } from './memory-request-log.ts'
import { slowly } from './slow-filesystem.ts'
import { TestFilesystem } from './test-filesystem.ts'

const [kind = 'memory', folder = '', connection] = process.argv.slice(2)

function drive(): Pick<Journaled, 'requestLog'> & { readonly filesystem: TestFilesystem } {
  if (kind.startsWith('journal')) return openJournaled(folder)
  return { filesystem: new TestFilesystem(memoryContents()), requestLog: memoryRequestLog() }
}

const { filesystem, requestLog } = drive()
const poisoned = changed(filesystem, {
  lookup(parent, name) {
    if (name.toString() === 'poison') process.kill(process.pid, 'SIGKILL')
    if (name.toString() === 'poison-later') return sleep(20).then(() => (process.kill(process.pid, 'SIGKILL'), null))
    return filesystem.lookup(parent, name)
  },
})
const say = (line: string): void => void writeSync(1, `${line}\n`)
const session = openSession({
  native: loadNative(),
  fuseFd: 3,
  memoryFd: 4,
  filesystem: kind.endsWith('-slow') ? slowly(poisoned, () => Math.random() * 2) : poisoned,
  requestLog,
  takenOver: connection === 'takenOver',
  allowPassthrough: false,
  deadlines: { metadataMs: 15_000, readMs: 60_000 },
  onClosed: () => process.exit(0),
  log: (level, message, fields) => say(`${level} ${message} ${JSON.stringify(fields ?? {})}`),
})
process.once('SIGTERM', () => {
  say(`counters ${JSON.stringify(session.counters())}`)
  session.stop()
  process.exit(0)
})
await session.ready
say('ready')
