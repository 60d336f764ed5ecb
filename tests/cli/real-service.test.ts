import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { exitCodes } from '../../src-cli/exit-codes.ts'
import { projectRoot } from '../docs/project-root.ts'

interface Done {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

let home: string
/** What is not the service's own: clouds, mount points, files. */
let elsewhere: string

beforeEach(({ skip }) => {
  if (process.platform !== 'linux') skip('the service needs the C addon, which is for Linux so far')
  if (!existsSync(join(projectRoot, 'dist/service.js'))) skip('the bundles are not built: scripts/build')
  home = mkdtempSync(join(tmpdir(), 'cm-'))
  elsewhere = mkdtempSync(join(tmpdir(), 'cm-'))
})

afterEach(async () => {
  await cloudmoor(['service', 'stop', '--timeout', '0'])
  for (const folder of [home, elsewhere]) rmSync(folder, { recursive: true, force: true })
})

function cloudmoor(args: readonly string[], input = '', environment: Readonly<Record<string, string>> = {}): Promise<Done> {
  return new Promise((resolve, reject) => {
    const child = spawn(join(projectRoot, 'bin/cloudmoor'), args, {
      env: { ...process.env, CLOUDMOOR_HOME: home, ...environment },
      timeout: 50_000,
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.once('error', reject)
    child.once('close', (code) => {
      resolve({ code, stdout, stderr })
    })
    child.stdin.end(input)
  })
}

const pidOf = (status: string): number => (JSON.parse(status) as { readonly pid: number }).pid

it('starts a service for who needs one, and the same one for who comes at the same time', async () => {
  const [first, second] = await Promise.all([cloudmoor(['service', 'start', '--json']), cloudmoor(['config', 'types', '--json'])])
  expect(first).toMatchObject({ code: exitCodes.ok, stderr: '' })
  expect(second).toMatchObject({ code: exitCodes.ok, stderr: '' })
  const status = await cloudmoor(['service', 'status', '--json'])
  expect(pidOf(status.stdout)).toBe(pidOf(first.stdout))
  const stopped = await cloudmoor(['service', 'stop', '--json'])
  expect(stopped).toMatchObject({ code: exitCodes.ok, stderr: '' })
  expect(existsSync(`/proc/${pidOf(status.stdout)}`)).toBe(false)
  expect((await cloudmoor(['status'])).code).toBe(exitCodes.noService)
})

it('hands over to a new process', async () => {
  const before = await cloudmoor(['service', 'start', '--json'])
  const after = await cloudmoor(['service', 'restart', '--json'])
  expect(after).toMatchObject({ code: exitCodes.ok, stderr: '' })
  expect(pidOf(after.stdout)).not.toBe(pidOf(before.stdout))
})

it('shows what the service said when it does not start', async () => {
  mkdirSync(join(home, 'service.db'))
  const { code, stderr } = await cloudmoor(['service', 'start'])
  expect(code).toBe(exitCodes.noService)
  expect(stderr).toMatch(/the service did not start: it ended with code 1; its last lines .*\n {2}cloudmoor-service: /)
})

it('refuses a home whose socket could not be addressed', async () => {
  const { code, stderr } = await cloudmoor(['service', 'start'], '', { CLOUDMOOR_HOME: join(home, 'x'.repeat(100)) })
  expect(code).toBe(exitCodes.usage)
  expect(stderr).toContain('and can have 107')
})

it('leaves a secret nowhere in clear', async () => {
  const secret = `canary${'0123456789abcdef'.repeat(2)}`
  const args = [
    'config',
    'create',
    'work',
    '--provider',
    's3',
    '--set',
    'endpoint=http://127.0.0.1:9',
    '--set',
    'bucket=bucket',
    '--set',
    'accessKeyId=a',
  ]
  const created = await cloudmoor([...args, '--set-secret', 'secretAccessKey=-'], `${secret}\n`)
  expect(created).toMatchObject({ code: exitCodes.ok, stderr: '' })
  const tested = await cloudmoor(['config', 'test', 'work'])
  expect(tested.code).toBe(exitCodes.tryLater)
  const shown = await cloudmoor(['config', 'show', 'work', '--json'])
  const logs = await cloudmoor(['logs', '--level', 'debug'])
  const pid = pidOf((await cloudmoor(['service', 'status', '--json'])).stdout)
  const processes = ['cmdline', 'environ'].map((file) => readFileSync(`/proc/${pid}/${file}`, 'latin1'))
  expect([...processes, ...[created, tested, shown, logs].map((done) => done.stdout + done.stderr)].join('\n')).not.toContain(secret)
  const files = readdirSync(home, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  expect(files.map((entry) => entry.name)).toContain('service.db')
  for (const entry of files) expect(readFileSync(join(entry.parentPath, entry.name), 'latin1'), entry.name).not.toContain(secret)
})

it('names the nearest option, also where the service is the one to know', async () => {
  const wrong = await cloudmoor(['config', 'create', 'x', '--provider', 'local', '--set', 'pth=/tmp'])
  expect(wrong.code).toBe(exitCodes.usage)
  expect(wrong.stderr).toContain("did you mean 'path'?")
})

it('gives its configuration as one text, takes it, and says what would change', async () => {
  const cloud = join(elsewhere, 'cloud')
  mkdirSync(cloud)
  expect(await cloudmoor(['config', 'create', 'disk', '--provider', 'local', '--set', `path=${cloud}`])).toMatchObject({
    code: exitCodes.ok,
  })
  expect(await cloudmoor(['mount', 'add', 'drive', '--provider', 'disk', '--path', join(elsewhere, 'mnt')])).toMatchObject({
    code: exitCodes.ok,
  })
  const { stdout: text } = await cloudmoor(['config', 'export'])
  expect(text).toContain('name: drive')
  expect(await cloudmoor(['config', 'import', '--dry-run', '--prune', '-'], text)).toMatchObject({
    code: exitCodes.ok,
    stdout: 'nothing would change\n',
  })
  const changed = text.replace('name: drive', 'name: files').replace('shared: false', 'shared: true')
  const { stdout: told } = await cloudmoor(['config', 'import', '-'], changed)
  expect(told).toBe('~ mount files\n    name: drive -> files\n    shared: false -> true\n1 thing changed\n')
  expect((await cloudmoor(['config', 'export'])).stdout).toBe(changed)
  const wrong = await cloudmoor(['config', 'import', '-'], text.replace('readOnly', 'readonly'))
  expect(wrong.stderr).toMatch(/line \d+: mounts\.0 has no key 'readonly'; did you mean 'readOnly'/)
  expect(wrong.code).not.toBe(exitCodes.ok)
})

it('follows a folder of files: at its start and at SIGHUP, and stays as it was when they are wrong', async () => {
  const folder = join(elsewhere, 'conf')
  mkdirSync(folder)
  const provider = (path: string) => `version: 1\nproviders:\n  - { name: disk, type: local, options: { path: ${path} } }\n`
  writeFileSync(join(folder, 'a.yaml'), provider('/srv/a'))
  writeFileSync(join(folder, 'b.yml'), `version: 1\nmounts:\n  - { name: drive, provider: disk, path: ${elsewhere}/mnt, enabled: false }\n`)
  const service = spawn(join(projectRoot, 'bin/cloudmoor-service'), ['--config', folder], {
    env: { ...process.env, CLOUDMOOR_HOME: home },
    stdio: 'ignore',
  })
  const shown = async (wanted: string) => {
    await vi.waitFor(async () => expect((await cloudmoor(['config', 'export'])).stdout).toContain(wanted), {
      timeout: 20_000,
      interval: 300,
    })
  }
  try {
    await vi.waitFor(async () => expect((await cloudmoor(['mount', 'list'])).stdout).toContain('drive'), { timeout: 20_000, interval: 300 })
    const refused = await cloudmoor(['config', 'set', 'disk', '--name', 'other'])
    expect(refused.stderr).toMatch(/is kept in the configuration file/)
    writeFileSync(
      join(folder, 'b.yml'),
      `version: 1\nmounts:\n  - { name: renamed, provider: disk, path: ${elsewhere}/mnt2, enabled: false }\n`,
    )
    service.kill('SIGHUP')
    await shown('name: renamed')
    expect((await cloudmoor(['config', 'export'])).stdout).not.toContain('name: drive')
    writeFileSync(join(folder, 'b.yml'), 'version: 1\nmounts: [')
    service.kill('SIGHUP')
    await vi.waitFor(async () => expect((await cloudmoor(['logs', '--level', 'error'])).stdout).toMatch(/b\.yml: line 2/), {
      timeout: 20_000,
      interval: 300,
    })
    await shown('name: renamed')
  } finally {
    await cloudmoor(['service', 'stop', '--timeout', '0'])
    service.kill()
  }
})
