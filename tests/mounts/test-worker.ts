/**
 * A worker whose drives are a journaled test file system, for tests of supervision. The connector's options choose what is wrong
 * with it: `poison: true` lets a lookup of `poison` kill it at once, one of `poison-later` after a wait; `deadIf: FILE` lets it
 * die while it opens if that file exists; `queued: N` claims files that are not uploaded.
 */
import { existsSync, mkdirSync } from 'node:fs'
import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CloudError } from '../../src-service/common/errors.ts'
import { loadNative } from '../../src-service/common/native/load-native.ts'
import { openLog } from '../../src-service/common/telemetry/log.ts'
import type { Drive, DriveOptions } from '../../src-service/drive/drive-contract.ts'
import { openSession } from '../../src-service/drive/fuse/session.ts'
import { guardProcess } from '../../src-service/drive/worker/guard-process.ts'
import { runWorker } from '../../src-service/drive/worker/run-worker.ts'
import { changed } from '../fuse/changed-filesystem.ts'
import { openJournaled } from '../fuse/journal.ts'
import type { TestFilesystem } from '../fuse/test-filesystem.ts'

const socket = process.argv[2] ?? ''
const native = loadNative()
native.setProcessName('cloudmoor-work')

async function openDrive(options: DriveOptions): Promise<Drive> {
  const wrong = options.connector.options
  if (existsSync(String(wrong['deadIf'] ?? ''))) process.kill(process.pid, 'SIGKILL')
  if (wrong['damaged'] === true) throw new CloudError('damaged', 'the database is damaged')
  mkdirSync(options.folder, { recursive: true })
  const { filesystem, requestLog } = openJournaled(options.folder)
  const files = Number(wrong['queued'] ?? 0)
  return {
    mountId: options.mountId,
    filesystem: wrong['poison'] === true ? poisoned(filesystem) : filesystem,
    requestLog,
    change: () => Promise.reject(new Error('not in this test')),
    setNotifier: () => {},
    setSecrets: () => {},
    tookOver: () => {},
    unmounted: () => {},
    check: () => Promise.resolve(),
    metrics: () => ({
      ...{ requests: {}, errors: {}, bytesIn: 0, bytesOut: 0, latencyMs: 0 },
      ...{ probes: 0, probeFailures: 0, probeMs: 0, reconnects: 0, reconnectFailures: 0 },
    }),
    status: () => ({
      conditions: [],
      queue: { files, bytes: files * 10, parked: 0, uploading: 0 },
      cache: { bytes: 0, limit: options.cacheSize, dirtyBytes: 0 },
      hidden: 0,
    }),
    rate: { set: () => {}, slowDown: () => {}, demand: () => ({ reader: 0, other: 0 }), onThrottle: () => {} },
    onChange: () => {},
    fileState: (path) =>
      Promise.resolve({ path, state: 'cached', type: 'file', size: 0, localBytes: 0, reason: '', localOnly: [], sheet: [] }),
    answer: () => Promise.reject(new Error('not in this test')),
    transfers: () => [],
    retry: () => {},
    drain: async (signal) => {
      if (files > 0) await sleep(600_000, undefined, { signal })
    },
    close: () => Promise.resolve(),
  }
}

function poisoned(filesystem: TestFilesystem): Drive['filesystem'] {
  return changed(filesystem, {
    lookup(parent, name) {
      if (name.toString() === 'poison') process.kill(process.pid, 'SIGKILL')
      if (name.toString() === 'poison-later') return sleep(20).then(() => (process.kill(process.pid, 'SIGKILL'), null))
      return filesystem.lookup(parent, name)
    },
  })
}

guardProcess(
  runWorker(
    {
      native,
      openDrive,
      openSession,
      openConnector: () => {
        throw new CloudError('unsupported', 'no connectors here')
      },
      openLog: (file, level) => openLog({ file, level, program: 'worker' }),
      dropRights: () => native.dropCapabilities(),
      exit: (code) => process.exit(code),
    },
    { socket, id: basename(socket, '.sock'), version: process.argv[3] ?? '1.0.0', bootId: 'test' },
  ),
)
