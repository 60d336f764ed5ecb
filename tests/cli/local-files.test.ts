import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { exitCodes } from '../../src-cli/exit-codes.ts'
import { projectRoot } from '../docs/project-root.ts'
import { Installation, run, shell } from '../support/installation.ts'
import { runCli } from './run-cli.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cm-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true })
})

const readers = [
  ['a secret of an account', (path: string) => ['config', 'create', 'x', '--provider', 's3', '--set-secret', `secretAccessKey=@${path}`]],
  ['a configuration', (path: string) => ['config', 'import', path]],
  ['a passphrase', (path: string) => ['config', 'export', '--with-secrets', '--passphrase-file', path]],
  ['a secret of the vault', (path: string) => ['config', 'vault', 'put', 'name', '--value', `@${path}`]],
] as const
const faults = [
  ['is missing', 'none', /none does not exist\n {2}-> Look at the path/],
  ['is a folder', 'folder', /folder is a folder\n {2}-> Name a file/],
  ['is below a file', 'file/below', /below has something in its path that is no folder\n {2}-> /],
  ['is a loop', 'loop', /loop leads round in symbolic links\n {2}-> /],
  ['never ends', 'endless', /endless is longer than 1 MiB/],
] as const

it.for(readers.flatMap(([what, args]) => faults.map(([how, name, words]) => [what, how, args, name, words] as const)))(
  '%s from a file that %s: says so in words',
  async ([, , args, name, words]) => {
    mkdirSync(join(folder, 'folder'))
    writeFileSync(join(folder, 'file'), 'x')
    symlinkSync('loop', join(folder, 'loop'))
    symlinkSync('/dev/zero', join(folder, 'endless'))
    const { code, stderr } = await runCli(args(join(folder, name)))
    expect(stderr).toMatch(words)
    expect(stderr).toContain(join(folder, name))
    expect(stderr).not.toMatch(/E[A-Z]{3,}/)
    expect(code).toBe(exitCodes.usage)
  },
)

const cli = join(projectRoot, 'bin/cloudmoor')
const notBuilt = existsSync(join(projectRoot, 'dist/cli.js')) ? undefined : 'the bundles are not built: scripts/build'
const isRoot = process.getuid?.() === 0

it('a file that the user may not read is told with what to do', async ({ skip }) => {
  if (!isRoot) return skip('only root reads a file as somebody else')
  if (notBuilt !== undefined) return skip(notBuilt)
  const path = join(folder, 'key')
  writeFileSync(path, 'secret', { mode: 0o600 })
  chmodSync(folder, 0o755)
  const args = [cli, 'config', 'import', path]
  const { code, stderr } = await run('setpriv', ['--reuid', '65534', '--clear-groups', process.execPath, ...bundle(args)])
  expect(stderr).toBe(
    `cloudmoor: ${path} cannot be used: the rights do not allow it\n  -> Give yourself the right to it, or choose another place.\n`,
  )
  expect(code).toBe(exitCodes.usage)
})

/** The program without its shell wrapper, which looks for Node where only its user may. */
function bundle([, ...args]: readonly string[]): string[] {
  return [join(projectRoot, 'dist/cli.js'), ...args]
}

it.for(['/dev/full', 'a disk with a little room'])(
  'a result for %s fails, and says that its disk is full',
  { timeout: 60_000 },
  async (which, { skip }) => {
    if (process.platform !== 'linux') return skip('/dev/full and tmpfs are of Linux')
    if (notBuilt !== undefined) return skip(notBuilt)
    if (which !== '/dev/full' && !isRoot) return skip('only root mounts a small disk')
    await using here = await Installation.create()
    const [types, disk] = [['config', 'types', 's3', '--json'], join(here.folder, 'disk')]
    const whole = await here.cloudmoor(types)
    expect(whole.length).toBeGreaterThan(4096)
    if (which === '/dev/full') {
      await fails('/dev/full')
      return
    }
    await shell(`mkdir ${disk}; mount -t tmpfs -o size=4k small ${disk}`)
    try {
      await fails(join(disk, 'result'))
      // The kernel took a part, and said nothing of the rest.
      expect(readFileSync(join(disk, 'result')).length).toBeGreaterThan(0)
    } finally {
      await shell(`umount ${disk}`)
    }

    async function fails(target: string): Promise<void> {
      const args = ['-c', '"$@" > "$TARGET"', 'sh', cli, ...types]
      const { code, stderr } = await run('sh', args, { env: { ...here.env, TARGET: target } })
      const said = { message: 'the output cannot be written: its disk is full', hint: 'Make room there, then try again.' }
      expect(JSON.parse(stderr)).toMatchObject({ error: said })
      expect(code).toBe(exitCodes.failed)
      expect((await run('sh', ['-c', '"$@" | head -c 1', 'sh', cli, ...types], { env: here.env })).stderr).toBe('')
    }
  },
)

it('a backup or an export that its disk does not take says so with its path', { timeout: 60_000 }, async ({ skip }) => {
  if (!isRoot) return skip('only root mounts a read-only disk')
  if (notBuilt !== undefined) return skip(notBuilt)
  await using here = await Installation.create()
  const disk = join(here.folder, 'disk')
  await here.cloudmoor(['service', 'start'])
  await shell(`mkdir ${disk}; mount -t tmpfs -o ro none ${disk}`)
  try {
    const { code, stderr } = await here.attempt(['backup', 'create', join(disk, 'a.backup')])
    expect(stderr).toMatch(/\/disk\/a\.backup is on a disk that is read-only\n {2}-> Make its disk writable, or choose another place/)
    expect(code).not.toBe(0)
    await shell(`mount -o remount,rw,size=16k ${disk}`)
    const full = await here.attempt(['backup', 'create', join(disk, 'a.backup')])
    expect(full.stderr).toMatch(/\/disk\/a\.backup cannot be written: its disk is full\n {2}-> Make room there/)
    expect(full.code).not.toBe(0)
  } finally {
    await shell(`umount ${disk}`)
  }
})

it('a service that cannot keep its state anywhere says where', { timeout: 30_000 }, async ({ skip }) => {
  if (notBuilt !== undefined) return skip(notBuilt)
  writeFileSync(join(folder, 'file'), '')
  const { code, stderr } = await run(cli, ['service', 'start'], { env: { ...process.env, CLOUDMOOR_HOME: join(folder, 'file', 'home') } })
  expect(stderr).toMatch(/\/file\/home.* has something in its path that is no folder\n {2}-> Look at the path/)
  expect(code).toBe(exitCodes.failed)
})
