/**
 * A process that changes a vault and kills itself at one of the steps that persist something:
 * `killed.ts FOLDER OPERATION STEP`. Exits 0 if there are fewer steps.
 */
import { promises } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { VaultChange } from '../../src-service/control/store/records.ts'
import { operations } from './operations.ts'

const [folder = '', operation = '', at = ''] = process.argv.slice(2)
let steps = 0

/** A step was, or is about to be, persisted. */
function step(): void {
  if (++steps === Number(at)) process.kill(process.pid, 'SIGKILL')
}

/** Kills before and after each call. */
function around<This, Args extends unknown[], Result>(call: (this: This, ...args: Args) => Promise<Result>) {
  return async function (this: This, ...args: Args): Promise<Result> {
    step()
    const result = await call.apply(this, args)
    step()
    return result
  }
}

const probe = await promises.open(join(tmpdir(), `cloudmoor-killed-${process.pid}`), 'w')
const handle = Object.getPrototypeOf(probe) as Pick<FileHandle, 'writeFile' | 'sync'>
await probe.close()
await promises.unlink(join(tmpdir(), `cloudmoor-killed-${process.pid}`))
handle.writeFile = around(handle.writeFile)
handle.sync = around(handle.sync)
promises.open = around(promises.open)
promises.link = around(promises.link)
promises.unlink = around(promises.unlink)
syncBuiltinESMExports()

const { openTestHome } = await import('../support/vault-home.ts')
const home = await openTestHome(folder)
home.database.function('step', () => {
  step()
  return null
})
for (const table of ['secrets', 'vault', 'vault_slots']) {
  for (const event of ['INSERT', 'DELETE', 'UPDATE']) {
    home.database.exec(`CREATE TEMP TRIGGER killed_${table}_${event} AFTER ${event} ON main.${table} BEGIN SELECT step(); END`)
  }
}
const commit = around((change: VaultChange) => home.table.commit(change))
const chosen = operations.find(({ name }) => name === operation)
if (chosen === undefined) throw new Error(`there is no operation ${operation}`)
await chosen.run(await home.start({ table: { ...home.table, commit } }))
process.exit(0)
