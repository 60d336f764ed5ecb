import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { unmountFuse } from '../../src-service/control/mounts/drivers/fuse.ts'
import { fileSystemType, mountedAt, readMountTable } from '../../src-service/control/mounts/mount-table.ts'
import { loadNative } from '../../src-service/common/native/load-native.ts'
import { killIfThere, workersOf } from './managed.ts'
import { run, shell } from './programs.ts'

const deadline = { timeout: 120_000 }
const source = join(import.meta.dirname, '../../src-service/main.ts')
const client = join(import.meta.dirname, '../../src-cli/main.ts')

interface Status {
  readonly service: { readonly pid: number }
  readonly mounts: readonly { readonly name: string; readonly state: string; readonly pid: number }[]
}

let folder = ''
let started: ChildProcess[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cms-'))
  for (const name of ['cloud', 'point']) mkdirSync(join(folder, name))
})

afterEach(async () => {
  const { service } = await status().catch(() => ({ service: { pid: 0 } }))
  for (const pid of [service.pid, ...started.map((child) => child.pid ?? 0), ...workersOf(folder)]) if (pid > 0) killIfThere(pid)
  started = []
  for (const entry of await readMountTable()) {
    if (entry.type === fileSystemType && entry.mountPoint.startsWith(folder)) await unmountFuse(loadNative(), entry.mountPoint, true)
  }
  await sleep(50)
  rmSync(folder, { recursive: true, force: true })
})

function environment(): NodeJS.ProcessEnv {
  // The workers' command lines then name this test's folder as those of the other tests do.
  return { ...process.env, CLOUDMOOR_HOME: join(folder, 'state') }
}

async function startService(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [source], { cwd: '/', stdio: ['ignore', 'ignore', 'inherit'], env: environment() })
  started.push(child)
  await untilListening()
  return child
}

/** The socket appears when the service is ready, and goes with it. */
async function untilListening(): Promise<void> {
  const socket = join(folder, 'state/run/service.sock')
  for (const end = performance.now() + 30_000; !existsSync(socket) && performance.now() < end; ) await sleep(20)
}

async function cloudmoor(...args: readonly string[]): Promise<string> {
  const { code, output } = await run('env', [`CLOUDMOOR_HOME=${join(folder, 'state')}`, process.execPath, client, ...args], 60_000)
  if (code !== 0) throw new Error(`cloudmoor ${args.join(' ')}: ${code ?? 'too slow'}\n${output}`)
  return output
}

async function status(): Promise<Status> {
  return JSON.parse(await cloudmoor('status', '--json')) as Status
}

async function mountWork(): Promise<{ readonly path: string; readonly worker: number }> {
  const path = join(folder, 'point')
  await cloudmoor('config', 'create', 'cloud', '--provider', 'local', '--set', `path=${join(folder, 'cloud')}`)
  await cloudmoor('mount', 'add', 'work', '--provider', 'cloud', '--path', path)
  await cloudmoor('mount', 'work')
  return { path, worker: (await status()).mounts[0]?.pid ?? 0 }
}

describe.skipIf(!existsSync('/dev/fuse'))('the service process', () => {
  test('serves a mount, and at SIGTERM uploads, unmounts and ends with 0', deadline, async () => {
    const child = await startService()
    const { path } = await mountWork()
    await shell(`echo hello > ${path}/file; cat ${path}/file`)
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
    expect(mountedAt(await readMountTable(), path)).toBeUndefined()
    expect(workersOf(folder)).toEqual([])
    expect(readFileSync(join(folder, 'cloud', 'file'), 'utf8')).toBe('hello\n')
  })

  test('hands over at SIGUSR2: another process, the same worker, and files stay open', deadline, async () => {
    const child = await startService()
    const { path, worker } = await mountWork()
    await shell(`echo hello > ${path}/file`)
    const reader = run('sh', ['-c', `exec 3<${path}/file; sleep 4; cat <&3`], 20_000)
    const ended = once(child, 'exit')
    child.kill('SIGUSR2')
    expect(await ended).toEqual([0, null])
    await untilListening()
    const now = await status()
    expect(now.service.pid).not.toBe(child.pid)
    expect(now.mounts).toEqual([expect.objectContaining({ name: 'work', state: 'mounted', pid: worker })])
    expect(await reader).toMatchObject({ code: 0, output: 'hello' })
    await cloudmoor('service', 'stop')
    expect(mountedAt(await readMountTable(), path)).toBeUndefined()
  })

  test('is the only one on its home, and says who has it', deadline, async () => {
    const first = await startService()
    const second = await run('env', [`CLOUDMOOR_HOME=${join(folder, 'state')}`, process.execPath, source], 30_000)
    expect(second).toMatchObject({ code: 1, output: expect.stringContaining(`process ${first.pid}`) })
  })

  test('says its version, and what it does not know', deadline, async () => {
    expect((await run(process.execPath, [source, '--version'])).output).toMatch(/^cloudmoor-service \d+\.\d+\.\d+$/)
    expect(await run(process.execPath, [source, '--fast'])).toMatchObject({ code: 2, output: expect.stringContaining("'--fast'") })
  })
})
