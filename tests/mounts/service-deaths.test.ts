import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { mountedAt, readMountTable } from '../../src-service/control/mounts/mount-table.ts'
import { killIfThere, Managed, workersOf } from './managed.ts'
import { run, shell } from './programs.ts'

const deadline = { timeout: 150_000 }

let managed: Managed
beforeEach(() => {
  managed = new Managed()
})
afterEach(() => managed.remove())

async function workerOf(name: string): Promise<number> {
  const { workerPid } = await managed.until(name, 'mounted')
  if (workerPid === null) throw new Error('no worker')
  return workerPid
}

/** A program that works on the mount until it is told to stop, and allows nothing to fail. */
function strictLoad(path: string): { readonly end: () => ReturnType<typeof run> } {
  const manifest = join(managed.home, 'manifest')
  const load = run(process.execPath, [join(import.meta.dirname, '../fuse/strict-load.ts'), join(path, 'work'), manifest], 120_000)
  return {
    end: () => {
      writeFileSync(`${manifest}.stop`, '')
      return load
    },
  }
}

const fine = { code: 0, output: expect.stringMatching(/^ok [1-9]/) }

describe.skipIf(!existsSync('/dev/fuse'))('a service', () => {
  test(
    'is killed again and again under load: the worker goes on serving, the next one takes it over and supervises it',
    deadline,
    async () => {
      await managed.start()
      const { path } = (await managed.mount('kept')).record
      const pid = await workerOf('kept')
      const load = strictLoad(path)
      for (let i = 0; i < 4; i++) {
        await sleep(150)
        await managed.kill()
        expect(await shell(`echo alone > ${path}/alone; cat ${path}/alone`)).toBe('alone')
        await managed.start()
        expect(await workerOf('kept')).toBe(pid)
      }
      // The adopted worker's death is noticed, although it is nobody's child any more.
      killIfThere(pid)
      expect(await shell(`cat ${path}/alone`)).toBe('alone')
      expect(await workerOf('kept')).not.toBe(pid)
      expect(await load.end()).toMatchObject(fine)
    },
  )

  test('is killed together with the worker: the next one clears the dead mount away and mounts anew', deadline, async () => {
    await managed.start()
    const { path } = (await managed.mount('both')).record
    await shell(`echo hello > ${path}/file`)
    for (let i = 0; i < 3; i++) {
      const pid = await workerOf('both')
      await managed.kill()
      killIfThere(pid)
      while (existsSync(`/proc/${pid}/exe`)) await sleep(5)
      expect((await run('stat', [path], 5_000)).output).toMatch(/not connected|connection abort/)
      await managed.start()
      await managed.until('both', 'mounted')
      expect(await shell(`cat ${path}/file; grep -c ' ${path} ' /proc/self/mountinfo`)).toBe('hello\n1')
    }
  })

  test('dies while its worker stands still: the next one wakes it up and takes it over', deadline, async () => {
    await managed.start()
    const { path } = (await managed.mount('asleep')).record
    const pid = await workerOf('asleep')
    await managed.kill()
    process.kill(pid, 'SIGSTOP')
    await managed.start()
    expect(await workerOf('asleep')).toBe(pid)
    expect(await shell(`echo hello > ${path}/file; cat ${path}/file`)).toBe('hello')
  })

  test('hands over to one of another version under load: workers are replaced one by one, nobody notices', deadline, async () => {
    await managed.start({ version: '1.0.0' })
    const { path } = (await managed.mount('one')).record
    await managed.mount('two')
    const before = [await workerOf('one'), await workerOf('two')]
    const load = strictLoad(path)
    await sleep(200)
    await managed.call('handOver')
    await managed.kill()
    await managed.start({ version: '2.0.0' })
    for (const [index, name] of ['one', 'two'].entries()) {
      while ((await workerOf(name)) === before[index]) await sleep(10)
    }
    await managed.until('one', 'mounted')
    expect(await load.end()).toMatchObject(fine)
    expect(managed.alerts).toEqual([])
  })

  test('stops: everything is unmounted, every worker has ended, and what is not uploaded is told', deadline, async () => {
    await managed.start({ connector: { queued: 3 } })
    const { path } = (await managed.mount('left')).record
    const begun = performance.now()
    expect(await managed.call('shutdown', null)).toEqual([
      expect.objectContaining({ name: 'left', queue: expect.objectContaining({ files: 3 }) }),
    ])
    // The stop timeout of the test manager is two seconds.
    expect(performance.now() - begun).toBeGreaterThan(1_900)
    expect(performance.now() - begun).toBeLessThan(10_000)
    expect(mountedAt(await readMountTable(), path)).toBeUndefined()
    expect(workersOf(managed.home)).toEqual([])
    // It is still wished for: the next service mounts it again.
    await managed.kill()
    await managed.start({ connector: { queued: 3 } })
    await managed.until('left', 'mounted')
  })

  test('holds no descriptor and no folder inside a mount, and neither do its workers', deadline, async () => {
    await managed.start()
    const { path } = (await managed.mount('clean')).record
    for (const pid of [managed.pid, ...workersOf(managed.home)]) {
      // A descriptor that is closed while they are listed is no error.
      const links = await shell(`readlink /proc/${pid}/cwd /proc/${pid}/root; ls -l /proc/${pid}/fd || true`)
      expect(links).toMatch(/0 -> /)
      expect(links).not.toContain(path)
      expect(readFileSync(`/proc/${pid}/maps`, 'utf8')).not.toContain(path)
    }
  })
})
