/** The state of an installation lies on a disk whose power is cut under load; another boot goes on from what the disk had. */
import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { Installation, run, shell, signal } from '../support/installation.ts'
import { isProof, random } from '../support/random.ts'
import { lookAfterCut } from './after-power-cut.ts'
import { CutDisk, type DiskKind, whyNoCutDisk } from './cut-disk.ts'
import { DriveUnderLoad } from './drive-under-load.ts'
import { whyNoConnectionList } from './kernel.ts'

const cuts: Readonly<Record<DiskKind, number>> = isProof ? { ext4: 30, xfs: 30, btrfs: 30 } : { ext4: 6, xfs: 3, btrfs: 3 }

/** A folder that is a mount of its own, so that mounts made in another name space are seen here too. */
async function sharedFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'cm-cut-'))
  await shell(`mount --bind "${path}" "${path}"; mount --make-shared "${path}"`)
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      await run('umount', ['-l', path])
      await rm(path, { recursive: true, force: true })
    },
  }
}

/** Starts programs as after a reboot: in a name space where the kernel's boot has another id. */
async function anotherBoot(folder: string): Promise<readonly string[]> {
  const file = join(folder, 'boot_id')
  await writeFile(file, `${randomUUID()}\n`)
  const script = 'mount --make-private /proc && mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
  return ['unshare', '--mount', '--propagation', 'unchanged', '/bin/sh', '-c', script, file]
}

async function cutPower(drive: DriveUnderLoad, disk: CutDisk): Promise<void> {
  const { installation } = drive
  for (const load of drive.loads) signal(load.pid, 'SIGSTOP')
  await installation.freeze()
  await disk.cut()
  await installation.killAll()
  for (const load of drive.loads) await load.kill()
  await disk.restart()
}

describe('a power cut under load', () => {
  const kinds = Object.entries(cuts).map(([kind, count]) => ({ kind: kind as DiskKind, count }))
  const patience = { timeout: (isProof ? 20 : 3) * 60_000 }
  test.for(kinds)('$kind, $count times: what was synced is there, and nothing is torn', patience, async ({ kind, count }, { skip }) => {
    const reason = (await whyNoConnectionList()) ?? (await whyNoCutDisk(kind))
    skip(reason !== null, reason ?? '')
    await using folder = await sharedFolder()
    await using disk = await CutDisk.create(folder.path, kind)
    const installation = await Installation.create({ folder: folder.path, home: join(disk.path, 'home') })
    await using drive = await DriveUnderLoad.start(0, { installation, writeBackSeconds: 1 })
    const contents = join(folder.path, 'contents')
    await mkdir(contents)
    let [synced, lost] = [0, 0]
    for (let cut = 0; cut < count; cut++) {
      const load = drive.addLoad(`cut-${cut}`, contents)
      await load.atWork(20)
      await sleep(500 + random() * 2000)
      await cutPower(drive, disk)
      installation.wrapper = await anotherBoot(folder.path)
      await installation.cloudmoor(['service', 'start'])
      installation.wrapper = []
      await drive.workerPid()
      const expected = await load.expectation()
      const found = await lookAfterCut(join(drive.mount, load.name), expected, contents)
      expect({ cut, lost: found.lost, torn: found.torn }).toEqual({ cut, lost: [], torn: [] })
      synced += expected.promised.length
      lost += found.unsynced
    }
    expect(synced).toBeGreaterThan(count)
    // Otherwise the cuts cut nothing.
    expect(lost).toBeGreaterThan(0)
    await installation.uploaded('drive', 60_000)
    await drive.atRemote(async (copy) => {
      for (const load of drive.loads) {
        const found = await lookAfterCut(join(copy, load.name), await load.expectation(), contents)
        expect({ load: load.name, lost: found.lost, torn: found.torn }).toEqual({ load: load.name, lost: [], torn: [] })
      }
    })
    process.stdout.write(`${kind}: ${count} cuts; ${synced} synced files, 0 of them lost; ${lost} others lost; nothing torn\n`)
  })
})
