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
import { KillingSteps } from '../support/killing-steps.ts'

const [folder = '', operation = '', at = ''] = process.argv.slice(2)
const steps = new KillingSteps(Number(at))

const probe = await promises.open(join(tmpdir(), `cloudmoor-killed-${process.pid}`), 'w')
const handle = Object.getPrototypeOf(probe) as Pick<FileHandle, 'writeFile' | 'sync'>
await probe.close()
await promises.unlink(join(tmpdir(), `cloudmoor-killed-${process.pid}`))
handle.writeFile = steps.around(handle.writeFile)
handle.sync = steps.around(handle.sync)
promises.open = steps.around(promises.open)
promises.link = steps.around(promises.link)
promises.unlink = steps.around(promises.unlink)
syncBuiltinESMExports()

const { openTestHome } = await import('../support/vault-home.ts')
const home = await openTestHome(folder)
home.database.function('step', () => {
  steps.step()
  return null
})
for (const table of ['secrets', 'vault', 'vault_slots']) {
  for (const event of ['INSERT', 'DELETE', 'UPDATE']) {
    home.database.exec(`CREATE TEMP TRIGGER killed_${table}_${event} AFTER ${event} ON main.${table} BEGIN SELECT step(); END`)
  }
}
const commit = steps.around((change: VaultChange) => home.table.commit(change))
const chosen = operations.find(({ name }) => name === operation)
if (chosen === undefined) throw new Error(`there is no operation ${operation}`)
await chosen.run(await home.start({ table: { ...home.table, commit } }))
process.exit(0)
