/** docs/providers/webdav.md: its steps work, on a server of one's own with a certificate of one's own. */
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { findApache, startApache } from '../servers/apache.ts'
import { Installation, shell } from '../support/installation.ts'
import { projectRoot } from './project-root.ts'

const page = await readFile(join(projectRoot, 'docs/providers/webdav.md'), 'utf8')
const found = await findApache()

/** The first commands below a heading. */
function stepsOf(heading: string): string {
  return new RegExp(`## ${heading}\\n.*?\`\`\`sh\\n(.*?)\`\`\``, 's').exec(page)?.[1] ?? 'false'
}

test("the steps work, also with a certificate of an authority of one's own", { timeout: 120_000 }, async ({ skip }) => {
  if ('missing' in found) return skip(`Apache: ${found.missing}`)
  if (!existsSync('/dev/fuse')) return skip('mounts need /dev/fuse')
  await using all = new AsyncDisposableStack()
  const server = await startApache(found)
  all.defer(() => server.stop())
  const installation = all.use(await Installation.create())
  const { folder, home } = installation
  await writeFile(join(folder, 'cloud.password'), server.password, { mode: 0o600 })
  await writeFile(join(folder, 'ca.pem'), server.certificates.authority.cert)
  const directory = join(folder, 'cloud')
  await mkdir(directory)
  const said = await shell(
    `cd '${folder}'; cloudmoor() { '${join(projectRoot, 'bin/cloudmoor')}' "$@"; }; ${stepsOf('Steps')} ${stepsOf('Certificates')}`,
    90_000,
    { CLOUDMOOR_HOME: home, URL: server.basic, PRIVATE_URL: server.tls, USERNAME: server.username, DIRECTORY: directory },
  )
  expect(said).toContain("account 'cloud' works")
  expect(said).toContain("account 'private' works")
  expect(said).toMatch(/conditional creation\s+yes/)
  await installation.cloudmoor(['mount', 'remove', 'cloud', '--wait', '30s'])
  expect(await readFile(join(server.data, 'hello.txt'), 'utf8')).toBe('hello\n')
})
