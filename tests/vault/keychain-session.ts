// Runs inside a session bus, with or without a Secret Service: leads a vault through its life with the real keychain, and says how it went.
import { readdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { CloudError } from '../../src-service/common/errors.ts'
import { Secret } from '../../src-service/common/secret.ts'
import { createKeychain } from '../../src-service/control/vault/keychain.ts'
import { openTestHome } from '../support/vault-home.ts'

const program = fileURLToPath(new URL('../../src-service/control/vault/keychain-thread.ts', import.meta.url))
const keychain = createKeychain({
  program: ['--experimental-strip-types', '--disable-warning=ExperimentalWarning', program],
  env: process.env,
})
const home = await openTestHome()
const machine = { keyFile: home.keyFile, keychain, credentials: undefined }
const start = () => home.start({ machine })

let vault = await start()
const reference = await vault.secrets.put('p1', 'password', new Secret('hunter2'))
const first = (await vault.status()).slots
const value = async () => (await vault.secrets.get(reference)).reveal()

/** As after a start of the service; the keychain is asked beside everything else. */
async function restarted(): Promise<string> {
  vault = await start()
  return vault.unlock({ kind: 'machine' }).then(value, (caught: unknown) => CloudError.from(caught).message)
}

const afterStart = await restarted()
await vault.rotate()
const afterRotation = await restarted()
const renewed = (await vault.status()).slots
const account = (id: string | undefined) => `${vaultId}/${id ?? ''}`
const vaultId = (await home.table.read())?.vault.id ?? ''
const [slot, oldSlot] = [renewed[0], first[0]]
const old = slot?.kind === 'keychain' ? await keychain.get(account(oldSlot?.id)) : 'not asked'
const current = slot?.kind === 'keychain' ? await keychain.get(account(slot.id)) : 'not asked'
const problems = (await vault.test()).problems.length
const files = (await readdir(home.folder)).filter((name) => name.endsWith('.key')).length
if (slot?.kind === 'keychain') await keychain.remove(account(slot.id))
const afterLoss = await restarted()
const said = home.log.filter(({ level }) => level === 'warn').map(({ message }) => message)
await home.remove()
process.stdout.write(
  JSON.stringify({ kind: slot?.kind, afterStart, afterRotation, old, current: typeof current, problems, files, afterLoss, said }),
)
