// Entry of the store's thread: opens the database and does what it is asked, in order.
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'
import { lockHome } from './home-lock.ts'
import { migrations } from './migrations.ts'
import { openDatabase } from './open-database.ts'
import { createOperations } from './operations.ts'
import { finishRestore } from './restore-files.ts'
import type { StoreCall, StoreError, StoreOptions, StoreReply } from './store-messages.ts'

const port = parentPort
if (port === null) throw new CloudError('internal', 'the store runs in a thread of the service')
const options = workerData as StoreOptions

try {
  const lock = lockHome(options.lock, options.lockWaitMs)
  finishRestore(options.database, options.keys ?? {})
  const database = openDatabase(options.database, options.backups, migrations, systemClock.now())
  const groups: Record<string, Record<string, (...args: never[]) => unknown> | undefined> = createOperations(
    drizzle({ client: database }),
    systemClock,
  )
  port.on('message', (call: StoreCall) => {
    if (call.group === 'close') {
      database.close()
      lock.release()
      port.postMessage({ id: call.id, value: undefined } satisfies StoreReply)
      port.close()
      return
    }
    port.postMessage(perform(call))
  })
  const perform = (call: StoreCall): StoreReply => {
    try {
      const operation = groups[call.group]?.[call.method]
      if (operation === undefined) throw new CloudError('internal', `the store has no ${call.group}.${call.method}`)
      return { id: call.id, value: Reflect.apply(operation, undefined, call.args) }
    } catch (caught) {
      return { id: call.id, error: describe(caught) }
    }
  }
  port.postMessage({ id: 0, value: undefined } satisfies StoreReply)
} catch (caught) {
  port.postMessage({ id: 0, error: describe(caught) } satisfies StoreReply)
  port.close()
}

/** Drizzle wraps what SQLite says in a text that holds every parameter: only the cause goes on. */
function describe(caught: unknown): StoreError {
  const inner = caught instanceof Error && caught.name === 'DrizzleQueryError' ? caught.cause : caught
  const { kind, message, code, hint } = CloudError.from(inner)
  const isSqlite = code?.startsWith('SQLITE') === true
  return {
    kind,
    message: isSqlite ? `${options.database}: ${message}` : message,
    ...(code === undefined ? {} : { code }),
    ...(hint === undefined ? {} : { hint }),
  }
}
