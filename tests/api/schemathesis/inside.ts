/**
 * Starts a service with something of everything and lets schemathesis loose on it, in a world of its own:
 * `inside.ts FOLDER SCHEMATHESIS SECONDS SEED`. Exits 0 if it found nothing; its reports lie in the folder.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Installation, run } from '../../support/installation.ts'
import { writeConfiguration } from './plan.ts'
import { seed as plant } from './seed.ts'

const [folder = '', schemathesis = '', seconds = '', seed = ''] = process.argv.slice(2)
process.env['TMPDIR'] = join(folder, 'tmp')
process.env['HOME'] = folder
await mkdir(join(folder, 'tmp'))

await using place = await Installation.create({ folder, home: join(folder, 'home') })
await place.cloudmoor(['service', 'start'])
const { known, token } = await plant(place)
const { url } = JSON.parse(await readFile(join(place.home, 'run/web.json'), 'utf8')) as { url: string }
const configuration = join(folder, 'schemathesis.toml')
const plan = { seed: Number(seed), seconds: Number(seconds), url, token, known, folder }
await writeFile(configuration, writeConfiguration(plan), { mode: 0o600 })
const outcome = await run(schemathesis, ['--config-file', configuration, 'run', `${url}/openapi.json`], {
  cwd: folder,
  timeoutMs: (Number(seconds) + 120) * 1000,
})
await writeFile(join(folder, 'output.txt'), outcome.stdout + outcome.stderr)
// The login is as good as it was, or what came after its end showed nothing.
const answer = await fetch(`${url}/api/v1/whoami`, { headers: { authorization: `Bearer ${token}` } })
if (answer.status !== 200) throw new Error(`the token of the run is not valid any more: ${answer.status}`)
process.exitCode = outcome.code
