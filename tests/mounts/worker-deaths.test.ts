import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { mountedAt, readMountTable } from '../../src-service/control/mounts/mount-table.ts'
import { random } from '../support/random.ts'
import { killIfThere, Managed, waitingRequests, workersOf } from './managed.ts'
import { run, shell } from './programs.ts'

const kills = Number(process.env['MOUNT_KILLS'] ?? '20')
const deadline = { timeout: 150_000 }

let managed: Managed
beforeEach(() => {
  managed = new Managed()
})
afterEach(() => managed.remove())

async function deviceOf(path: string): Promise<string> {
  const entry = mountedAt(await readMountTable(), path)
  if (entry === undefined) throw new Error(`${path} is not mounted`)
  return entry.device
}

/** Waits for a moment when the kernel waits for the worker: only such a kill proves something. */
async function busyMoment(device: string): Promise<boolean> {
  await sleep(random() * 100)
  for (let i = 0; i < 2000; i++) {
    if (waitingRequests(device) > 0) return true
    if (i % 100 === 99) await sleep(1)
  }
  return false
}

async function workerOf(name: string): Promise<number> {
  const { workerPid } = await managed.until(name, 'mounted')
  if (workerPid === null) throw new Error('no worker')
  return workerPid
}

describe.skipIf(!existsSync('/dev/fuse'))('the worker of a mount', () => {
  test(`is killed ${kills} times under load: the program notices nothing but pauses`, deadline, async () => {
    await managed.start()
    const { path } = (await managed.mount('load')).record
    const device = await deviceOf(path)
    const manifest = join(managed.home, 'manifest')
    const load = run(process.execPath, [join(import.meta.dirname, '../fuse/strict-load.ts'), join(path, 'work'), manifest], 120_000)
    let counted = 0
    const pauses: number[] = []
    for (let kill = 0; kill < kills; kill++) {
      const pid = await workerOf('load')
      if (await busyMoment(device)) counted++
      process.kill(pid, 'SIGKILL')
      const begun = performance.now()
      while ((await managed.status('load')).workerPid === pid) await sleep(2)
      await managed.until('load', 'mounted')
      pauses.push(performance.now() - begun)
    }
    writeFileSync(`${manifest}.stop`, '')
    expect(await load).toMatchObject({ code: 0, output: expect.stringMatching(/^ok [1-9]/) })
    expect(counted).toBeGreaterThanOrEqual(kills * 0.8)
    pauses.sort((a, b) => a - b)
    const [median = 0, longest = 0] = [pauses[Math.floor(pauses.length / 2)], pauses.at(-1)]
    // The longest depends on what else this machine does: a kill before the next spare is ready waits for a process to start.
    expect(median).toBeLessThan(1000)
    process.stdout.write(
      `${counted} of ${kills} kills while requests waited; replaced within ${Math.round(median)} ms, at most ${Math.round(longest)} ms\n`,
    )
    // More than five deaths in a minute are worth an alert, once.
    expect(managed.alerts).toEqual(['worker-deaths'])
  })

  test('stands still: it is replaced, and who waits gets an answer', deadline, async () => {
    await managed.start()
    const { path } = (await managed.mount('still')).record
    await shell(`echo hello > ${path}/file`)
    const pid = await workerOf('still')
    process.kill(pid, 'SIGSTOP')
    const read = await run('cat', [`${path}/file`, `${path}/absent`], 30_000)
    expect(read.output).toContain('hello')
    expect(read.output).toContain('No such file')
    expect(read.milliseconds).toBeLessThan(15_000)
    expect(await workerOf('still')).not.toBe(pid)
  })

  test.each(['poison', 'poison-later'])(
    'dies of a request each time (%s): that request fails, everything else goes on',
    deadline,
    async (name) => {
      await managed.start({ connector: { poison: true } })
      const { path } = (await managed.mount('sick')).record
      await shell(`echo hello > ${path}/file`)
      const poisonous = run('stat', [`${path}/${name}`], 30_000)
      const healthy = run('cat', [`${path}/file`], 30_000)
      expect(await poisonous).toMatchObject({ code: 1, output: expect.stringContaining('Input/output error') })
      expect(await healthy).toMatchObject({ code: 0, output: 'hello' })
      await managed.until('sick', 'mounted')
      expect(await shell(`cat ${path}/file`)).toBe('hello')
    },
  )

  test('dies five times without an answer: the mount fails with ENOTCONN instead of hanging, and says so', deadline, async () => {
    const curse = join(managed.home, 'curse')
    await managed.start({ connector: { deadIf: curse } })
    const { path } = (await managed.mount('lost')).record
    await shell(`echo hello > ${path}/file`)
    const first = await workerOf('lost')
    writeFileSync(curse, '')
    killIfThere(first)
    const read = await run('stat', [`${path}/absent`], 30_000)
    expect(read).toMatchObject({ code: 1, output: expect.stringMatching(/not connected|connection abort/) })
    await managed.until('lost', 'failed')
    expect(managed.alerts).toContain('worker-crash-loop')
    expect((await run('stat', [path], 5_000)).output).toContain('not connected')
    rmSync(curse)
    // A start clears the dead mount away and nothing is lost.
    const id = (await managed.call<readonly { record: { id: string } }[]>('list'))[0]?.record.id
    await managed.call('start', id)
    expect(await shell(`cat ${path}/file`)).toBe('hello')
  })

  test('is killed while nobody needs it, as often as one likes: the mount stays', deadline, async () => {
    await managed.start()
    const { path } = (await managed.mount('idle')).record
    for (let i = 0; i < 8; i++) {
      killIfThere(await workerOf('idle'))
      await sleep(30)
    }
    await managed.until('idle', 'mounted')
    expect(await shell(`echo hello > ${path}/file; cat ${path}/file`)).toBe('hello')
  })

  test('cannot open its drive: the start says why, goes on trying, and leaves nothing behind', deadline, async () => {
    await managed.start({ connector: { damaged: true } })
    const created = await managed.create('bad')
    await expect(managed.call('start', created.record.id)).rejects.toMatchObject({ kind: 'damaged' })
    const { state, reason } = await managed.status('bad')
    expect([state, reason]).toEqual(['failed', 'the database is damaged'])
    expect(mountedAt(await readMountTable(), created.record.path)).toBeUndefined()
    await managed.call('stop', created.record.id)
    expect((await managed.status('bad')).state).toBe('unmounted')
    await managed.call('shutdown', 0)
    expect(workersOf(managed.home)).toEqual([])
  })

  test('gets nothing of the service: no descriptors, no secrets in arguments and environment, no rights', deadline, async () => {
    await managed.start()
    await managed.mount('bare')
    const pid = await workerOf('bare')
    const environment = readFileSync(`/proc/${pid}/environ`, 'latin1')
      .split('\0')
      .map((pair) => pair.split('=')[0])
    const allowed = ['PATH', 'HOME', 'TZ', 'LANG', 'LC_ALL', 'SSL_CERT_FILE', 'SSL_CERT_DIR', 'NODE_EXTRA_CA_CERTS', 'NODE_COMPILE_CACHE']
    expect(environment.filter((name) => name !== '' && !allowed.includes(name ?? ''))).toEqual(['UV_USE_IO_URING', 'UV_THREADPOOL_SIZE'])
    expect(await shell(`readlink /proc/${pid}/cwd`)).toBe('/')
    const targets = (await shell(`ls -l /proc/${pid}/fd`)).split('\n').map((line) => line.split(' -> ')[1] ?? '')
    expect(targets.filter((target) => target === '/dev/fuse')).toHaveLength(2)
    expect(targets.filter((target) => /service\.(db|lock|log)/.test(target))).toEqual([])
    for (const line of (await shell(`grep -h CapEff /proc/${pid}/task/*/status`)).split('\n')) expect(line).toMatch(/0000000000000000$/)
  })
})
