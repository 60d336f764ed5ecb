import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { loadNative } from './common/native/load-native.ts'
import { openLog } from './common/telemetry/log.ts'
import { version } from './common/version.ts'
import { openConnector } from './drive/connectors/registry.ts'
import { openDrive } from './drive/drive.ts'
import { openSession } from './drive/fuse/session.ts'
import { dropRights } from './drive/worker/drop-rights.ts'
import { runWorker } from './drive/worker/run-worker.ts'
import { guardProcess } from './drive/worker/guard-process.ts'

/** A mount worker. Started by the service with the path of the socket to listen on. */
const socket = process.argv[2] ?? ''
const native = loadNative()
native.forbidCore()
native.setProcessName('cloudmoor-work')

const worker = runWorker(
  {
    native,
    openDrive,
    openSession,
    openConnector,
    openLog: (file, level) => openLog({ file, level, program: 'worker' }),
    dropRights: (type) => dropRights(native, type),
    exit: (code) => process.exit(code),
  },
  {
    socket,
    id: basename(socket, '.sock'),
    version,
    // Read at once: a thread of the pool that exists before the rights are dropped would keep them.
    bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
  },
)
guardProcess(worker)
