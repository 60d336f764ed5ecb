import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { mountedAt, readMountTable } from '../../src-service/control/mounts/mount-table.ts'
import type { Mount } from '../../src-service/control/mounts/mount-manager-contract.ts'
import { abort, killIfThere, Managed } from './managed.ts'
import { run, shell } from './programs.ts'

const deadline = { timeout: 100_000 }

let managed: Managed
beforeEach(() => {
  managed = new Managed()
})
afterEach(() => managed.remove())

/** A program with a file of the mount open and its folder as its own; ended by `end`. */
async function squatter(path: string): Promise<{ readonly pid: number; readonly lines: string[]; readonly end: () => void }> {
  const script = `exec 3<${path}/file; echo ready; while read line; do cat <&3 | head -c 0; cat ${path}/file 2>&1; (cat <&3) 2>&1; dd if=/proc/self/fd/3 bs=1 count=1 status=none 2>&1; echo; done`
  const child = spawn('sh', ['-c', script], { cwd: path, stdio: ['pipe', 'pipe', 'ignore'] })
  const lines: string[] = []
  child.stdout.on('data', (chunk: Buffer) => lines.push(...chunk.toString().trim().split('\n')))
  await once(child.stdout, 'data')
  const pid = child.pid ?? 0
  return { pid, lines, end: () => killIfThere(pid) }
}

/** KiB that the kernel reads ahead. */
async function readAhead(device: string): Promise<number> {
  return Number(await shell(`cat /sys/class/bdi/${device}/read_ahead_kb`))
}

describe.skipIf(!existsSync('/dev/fuse'))('a mount', () => {
  test('shows its name, is for its owner, and is gone after an unmount', deadline, async () => {
    await managed.start()
    const mount = await managed.mount('work')
    const line = await shell(`grep ' ${mount.record.path} ' /proc/self/mountinfo`)
    expect(line).toMatch(/ nosuid|nodev/)
    expect(line).toMatch(/ - fuse\.cloudmoor cloudmoor:work rw,/)
    expect(line).toContain('default_permissions')
    expect(line).not.toContain('allow_other')
    const device = mountedAt(await readMountTable(), mount.record.path)?.device ?? ''
    for (const end = performance.now() + 5_000; performance.now() < end && (await readAhead(device)) <= 128; ) await sleep(20)
    expect(await readAhead(device)).toBeGreaterThan(128)
    expect((await run('setpriv', ['--reuid=65534', '--clear-groups', 'ls', mount.record.path])).code).not.toBe(0)
    await managed.call('stop', mount.record.id)
    expect(mountedAt(await readMountTable(), mount.record.path)).toBeUndefined()
    expect((await managed.status('work')).workerPid).toBeNull()
    expect(await managed.records().list()).toEqual([])
  })

  test('lets others in with access=all', deadline, async () => {
    await managed.start()
    const mount = await managed.mount('all', { access: 'all' })
    await shell(
      `chmod 755 ${managed.home} ${managed.home}/points; echo hello > ${mount.record.path}/file; chmod 644 ${mount.record.path}/file`,
    )
    expect((await run('setpriv', ['--reuid=65534', '--clear-groups', 'cat', `${mount.record.path}/file`])).output).toBe('hello')
  })

  test('that is in use names its users and stays; with force they are served a while, then let go', deadline, async () => {
    await managed.start()
    const mount = await managed.mount('busy')
    await shell(`echo hello > ${mount.record.path}/file`)
    const user = await squatter(mount.record.path)
    try {
      const refusal = managed.call('stop', mount.record.id)
      await expect(refusal).rejects.toMatchObject({
        kind: 'busy',
        code: 'MOUNT_BUSY',
        message: expect.stringContaining(`sh (${user.pid}) works in it`),
      })
      expect(await shell(`cat ${mount.record.path}/file`)).toBe('hello')
      expect((await managed.status('busy')).state).toBe('mounted')

      const forced = managed.call('stop', mount.record.id, true)
      await sleep(500)
      expect(mountedAt(await readMountTable(), mount.record.path)).toBeUndefined()
      expect(await shell(`head -c 5 /proc/${user.pid}/fd/3`)).toBe('hello')
      await forced
      // The stop timeout of the test manager is two seconds.
      expect((await run('cat', [`/proc/${user.pid}/fd/3`], 5_000)).output).toMatch(/not connected|connection abort/)
      expect((await managed.status('busy')).state).toBe('unmounted')
    } finally {
      user.end()
    }
  })

  test.each([
    ['a missing folder', 'MOUNT_POINT_MISSING', (path: string) => rmdirSync(path)],
    ['a folder that is not empty', 'MOUNT_POINT_NOT_EMPTY', (path: string) => writeFileSync(join(path, 'x'), '')],
    ['a taken folder', 'MOUNT_POINT_TAKEN', (path: string) => shell(`mount -t tmpfs none ${path}`)],
  ] as const)('on %s is refused, and tried again by itself', deadline, async (_what, code, spoil) => {
    await managed.start()
    const mount = await managed.create('wrong')
    await spoil(mount.record.path)
    await expect(managed.call('start', mount.record.id)).rejects.toMatchObject({ code, hint: expect.stringMatching(/./) })
    expect(managed.alerts).toEqual(['mount-failed'])
    await shell(`umount ${mount.record.path} 2>/dev/null; rm -rf ${mount.record.path}; mkdir ${mount.record.path}`)
    await managed.until('wrong', 'mounted', 10_000)
  })

  test('inside another mount is refused without a look into it', deadline, async () => {
    await managed.start()
    const { path } = (await managed.mount('outer')).record
    await expect(managed.create('inner', { path: join(path, 'below') })).rejects.toMatchObject({ code: 'PATH_OVERLAP' })
    await expect(managed.create('cache', { cacheDir: join(path, 'cache') })).rejects.toMatchObject({ code: 'PATH_OVERLAP' })
  })

  test('that someone else unmounts stays down and says so', deadline, async () => {
    await managed.start()
    const { path } = (await managed.mount('taken')).record
    await shell(`umount ${path}`)
    await managed.until('taken', 'unmounted')
    expect(managed.alerts).toEqual(['unmounted-outside'])
    expect(await managed.records().list()).toEqual([])
  })

  test('whose connection someone aborts fails and comes back by itself', deadline, async () => {
    await managed.start()
    const { path } = (await managed.mount('cut')).record
    await shell(`echo hello > ${path}/file`)
    abort(mountedAt(await readMountTable(), path)?.device ?? '')
    await managed.until('cut', 'failed')
    await managed.until('cut', 'mounted')
    expect(await shell(`cat ${path}/file`)).toBe('hello')
  })

  test('with unsent files is not removed; without any its cache goes with it', deadline, async () => {
    await managed.start({ connector: { queued: 2 } })
    const mount = await managed.mount('full')
    const folder = join(managed.home, 'state', 'mounts', mount.record.id)
    await expect(managed.call('remove', mount.record.id, 0)).rejects.toMatchObject({
      code: 'UNSENT_FILES',
      message: expect.stringContaining('2 files'),
    })
    await managed.call('stop', mount.record.id)
    await expect(managed.call('remove', mount.record.id, 0)).rejects.toMatchObject({ code: 'UNSENT_FILES' })
    expect((await managed.status('full')).queue).toMatchObject({ files: 2 })
    await managed.call('shutdown', 0)
    await managed.kill()

    // What a mount that is not mounted has to upload is known again soon after the start.
    await managed.start({ connector: { queued: 2 } })
    while ((await managed.status('full')).queue === null) await sleep(20)
    expect((await managed.status('full')).queue).toMatchObject({ files: 2 })
    await managed.call('shutdown', 0)
    await managed.kill()

    await managed.start()
    await managed.call('remove', mount.record.id, 0)
    expect(await managed.call<readonly Mount[]>('list')).toEqual([])
    expect(existsSync(folder)).toBe(false)
  })

  test('keeps its settings while it is mounted', deadline, async () => {
    await managed.start()
    const { id } = (await managed.mount('fixed')).record
    await expect(managed.call('update', id, { readOnly: true })).rejects.toMatchObject({ kind: 'busy' })
    expect(await managed.call('update', id, { name: 'renamed' })).toMatchObject({ record: { name: 'renamed' } })
    await managed.call('stop', id)
    expect(await managed.call('update', id, { readOnly: true })).toMatchObject({ record: { readOnly: true } })
    await managed.call('start', id)
    const { path } = (await managed.call<readonly Mount[]>('list'))[0]?.record ?? { path: '' }
    expect((await run('touch', [`${path}/x`])).output).toContain('Read-only file system')
  })
})

describe.skipIf(!existsSync('/dev/fuse') || process.getuid?.() !== 0)('a mount of a service that is not root', () => {
  /** Starts the manager as another user, with a /dev/fuse for everyone, in a mount name space of its own. */
  async function startAs(identity: readonly string[]): Promise<void> {
    const device = join(managed.home, 'fuse')
    // Where Node lies he may not look.
    const node = join(managed.home, 'node')
    mkdirSync(join(managed.home, 'state'))
    await shell(
      `mknod ${device} c 10 229; chmod 666 ${device}; ln ${process.execPath} ${node} 2>/dev/null || cp ${process.execPath} ${node}`,
    )
    await shell(`chmod 755 ${managed.home}; mkdir ${managed.home}/points; chown -R 65534 ${managed.home}/state`)
    const script = `mount --bind ${device} /dev/fuse && exec setpriv ${identity.join(' ')} "$@"`
    await managed.start({ node, wrapper: ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh'] })
  }

  async function mounted(spec: Parameters<Managed['create']>[1] = {}): Promise<Mount> {
    const created = await managed.create('plain', spec)
    await shell(`chown 65534 ${created.record.path}`)
    return managed.call<Mount>('start', created.record.id)
  }

  /** Its mounts are seen in its own name space only. */
  const inside = (...command: readonly string[]) => run('nsenter', ['--mount', '--target', String(managed.pid), ...command], 15_000)
  const user = ['--reuid=65534', '--regid=65534', '--clear-groups']
  const asUser = (line: string) => inside('setpriv', ...user, 'sh', '-c', line)

  test('goes through fusermount3 without rights, is its user’s alone, survives its worker, and ends', deadline, async () => {
    await startAs(user)
    const { record } = await mounted()
    const { path } = record
    expect(await asUser(`echo hello > ${path}/file; cat ${path}/file`)).toMatchObject({ code: 0, output: 'hello' })
    expect((await inside('cat', `${path}/file`)).output).toContain('Permission denied')
    expect((await inside('grep', ` ${path} `, '/proc/self/mountinfo')).output).toMatch(/fuse\.cloudmoor cloudmoor:plain .*user_id=65534/)
    const { workerPid } = await managed.status('plain')
    killIfThere(workerPid ?? 0)
    expect(await asUser(`cat ${path}/file`)).toMatchObject({ code: 0, output: 'hello' })

    const squatting = asUser(`cd ${path}; sleep 5`)
    await sleep(500)
    await expect(managed.call('stop', record.id)).rejects.toMatchObject({ code: 'MOUNT_BUSY' })
    await managed.call('stop', record.id, true)
    expect((await inside('grep', '-c', ` ${path} `, '/proc/self/mountinfo')).output).toBe('0')
    await squatting
    await managed.call('shutdown', 0)
  })

  test('goes directly with CAP_SYS_ADMIN alone, lets others in, and its worker has no rights at all', deadline, async () => {
    await startAs([...user, '--inh-caps=+sys_admin', '--ambient-caps=+sys_admin', '--bounding-set=-all,+sys_admin'])
    const { record } = await mounted({ access: 'all' })
    const { path } = record
    expect((await inside('grep', ` ${path} `, '/proc/self/mountinfo')).output).toContain('default_permissions,allow_other')
    expect(await inside('sh', '-c', `echo hello > ${path}/file; cat ${path}/file`)).toMatchObject({ code: 0, output: 'hello' })
    const { workerPid } = await managed.status('plain')
    for (const line of (await shell(`grep -hE 'Cap(Prm|Eff|Amb)' /proc/${workerPid ?? 0}/task/*/status`)).split('\n'))
      expect(line).toMatch(/\t0+$/)
    killIfThere(workerPid ?? 0)
    expect(await inside('cat', `${path}/file`)).toMatchObject({ code: 0, output: 'hello' })
    await managed.call('stop', record.id)
    expect((await inside('grep', '-c', ` ${path} `, '/proc/self/mountinfo')).output).toBe('0')
    await managed.call('shutdown', 0)
  })
})
