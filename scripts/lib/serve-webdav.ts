/**
 * Serves WebDAV (the Apache of the tests) until it gets SIGTERM. In the folder that is given it writes `password`, and links what is served as `server`;
 * the address goes to stdout. Ends with 1 where there is no Apache.
 */
import { symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findApache, startApache } from '../../tests/servers/apache.ts'

const [folder = '.'] = process.argv.slice(2)
const found = await findApache()
if ('missing' in found) {
  process.stderr.write(`${found.missing}\n`)
  process.exitCode = 1
} else {
  const server = await startApache(found)
  // Kept alive by this until the signal comes.
  const alive = setInterval(() => undefined, 60_000)
  process.once('SIGTERM', () => {
    clearInterval(alive)
    void server.stop()
  })
  await writeFile(join(folder, 'password'), server.password, { mode: 0o600 })
  await symlink(server.data, join(folder, 'server'))
  process.stdout.write(`${server.basic}\n`)
}
