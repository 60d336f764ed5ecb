/**
 * A process that restores a backup, as a service does it, and kills itself at one of the steps that change something on the disk:
 * `restore-killed.ts DATABASE BACKUP STEP`. Exits 0 if there are fewer steps.
 */
import fs, { promises } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { dirname, join } from 'node:path'
import { KillingSteps } from '../support/killing-steps.ts'

const [database = '', backup = '', at = ''] = process.argv.slice(2)
const steps = new KillingSteps(Number(at))

function aroundNow<Args extends unknown[], Result>(call: (...args: Args) => Result) {
  return (...args: Args): Result => {
    steps.step()
    const result = call(...args)
    steps.step()
    return result
  }
}

const probe = await promises.open(import.meta.filename, 'r')
const handle = Object.getPrototypeOf(probe) as Pick<FileHandle, 'writeFile' | 'sync'>
await probe.close()
handle.writeFile = steps.around(handle.writeFile)
handle.sync = steps.around(handle.sync)
promises.mkdir = steps.around(promises.mkdir) as typeof promises.mkdir
promises.rm = steps.around(promises.rm)
promises.rename = steps.around(promises.rename)
promises.writeFile = steps.around(promises.writeFile)
fs.renameSync = aroundNow(fs.renameSync)
fs.rmSync = aroundNow(fs.rmSync)
fs.copyFileSync = aroundNow(fs.copyFileSync)
syncBuiltinESMExports()

const { Secret } = await import('../../src-service/common/secret.ts')
const { stageRestore } = await import('../../src-service/control/backup/stage-restore.ts')
const { checkCopy } = await import('../../src-service/control/store/database-copies.ts')
const { finishRestore } = await import('../../src-service/control/store/restore-files.ts')
const staged = await stageRestore({ path: backup, passphrase: new Secret('correct horse battery') }, database, checkCopy)
await staged.commit()
finishRestore(database, { 'secrets.key': join(dirname(database), 'secrets.key'), 'audit.key': join(dirname(database), 'audit.key') })
