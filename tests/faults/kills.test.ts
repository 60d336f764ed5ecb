import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { type Cloud, localCloud } from '../support/clouds.ts'
import { Installation } from '../support/installation.ts'
import { connectionOf, untilWaiting } from './kernel.ts'
import { differences, expectedFiles, readManifest } from './manifest.ts'

const proof = process.env['CLOUDMOOR_PROOF'] === '1'
const rounds = { worker: proof ? 200 : 50, service: proof ? 50 : 10, both: proof ? 50 : 10 }

/** Works on the mount until told to stop; see load.ts. */
function startLoad(folder: string, manifest: string, seed: number, seconds: number): ChildProcess {
  return spawn(process.execPath, [join(import.meta.dirname, 'load.ts'), folder, manifest, String(seed), String(seconds)], { cwd: '/', stdio: 'inherit' })
}

async function workerPid(installation: Installation): Promise<number> {
  for (let i = 0; i < 50; i++) {
    const { pid, state } = await installation.mountStatus('drive')
    if (pid > 0 && state !== 'initializing') return pid
    await sleep(50)
  }
  throw new Error('no worker within its time')
}

function kill(pid: number): boolean {
  try {
    process.kill(pid, 'SIGKILL')
    return true
  } catch {
    return false
  }
}

/** Everything in the manifest is on the mount, and at the remote as another installation with an empty cache sees it. */
async function expectNothingLost(installation: Installation, cloud: Cloud, mount: string, manifest: string): Promise<void> {
  const lines = await readManifest(manifest)
  const expected = expectedFiles(lines)
  expect(expected.size).toBeGreaterThan(20)
  expect(await differences(join(mount, 'load'), expected)).toEqual([])
  await installation.uploaded('drive', 120_000)
  await using fresh = await Installation.create()
  await fresh.account('cloud', cloud.account)
  const copy = await fresh.mount('check', 'cloud', ['--read-only'])
  expect(await differences(join(copy, 'load'), expected)).toEqual([])
}

describe('kills under load', () => {
  test(`worker, ${rounds.worker} times: callers see no error`, { timeout: 600_000 }, async () => {
    await using cloud = await localCloud()
    await using installation = await Installation.create()
    await installation.account('cloud', cloud.account)
    const mount = await installation.mount('drive', 'cloud')
    const connection = await connectionOf(mount)
    const manifest = join(installation.folder, 'manifest')
    const load = startLoad(join(mount, 'load'), manifest, 7, 3600)
    let counted = 0
    for (let tries = 0; counted < rounds.worker && tries < rounds.worker * 3; tries++) {
      const pid = await workerPid(installation)
      await sleep(Math.random() * 150)
      if (!(await untilWaiting(connection, 2000))) continue
      if (kill(pid)) counted++
    }
    expect(counted).toBe(rounds.worker)
    await sleep(1000)
    load.kill('SIGTERM')
    await once(load, 'exit')
    const lines = await readManifest(manifest)
    expect(lines.filter(({ kind }) => kind === 'error')).toEqual([])
    await expectNothingLost(installation, cloud, mount, manifest)
  })

  test(`service, ${rounds.service} times: mounts stay, callers see no error`, { timeout: 600_000 }, async () => {
    await using cloud = await localCloud()
    await using installation = await Installation.create()
    await installation.account('cloud', cloud.account)
    const mount = await installation.mount('drive', 'cloud')
    const manifest = join(installation.folder, 'manifest')
    const load = startLoad(join(mount, 'load'), manifest, 11, 3600)
    for (let i = 0; i < rounds.service; i++) {
      const { service } = await installation.status()
      expect(service).not.toBeNull()
      if (service !== null) expect(kill(service.pid)).toBe(true)
      await sleep(200)
      await installation.cloudmoor(['service', 'start'])
      await workerPid(installation)
    }
    load.kill('SIGTERM')
    await once(load, 'exit')
    const lines = await readManifest(manifest)
    expect(lines.filter(({ kind }) => kind === 'error')).toEqual([])
    await expectNothingLost(installation, cloud, mount, manifest)
  })

  test(`both, ${rounds.both} times: nothing that was closed is lost`, { timeout: 600_000 }, async () => {
    await using cloud = await localCloud()
    await using installation = await Installation.create()
    await installation.account('cloud', cloud.account)
    const mount = await installation.mount('drive', 'cloud')
    const manifest = join(installation.folder, 'manifest')
    for (let i = 0; i < rounds.both; i++) {
      const load = startLoad(join(mount, 'load', `round-${i}`), `${manifest}-${i}`, 100 + i, 3600)
      await sleep(1500)
      const { service } = await installation.status()
      const pid = await workerPid(installation)
      if (service !== null) kill(service.pid)
      kill(pid)
      load.kill('SIGTERM')
      await once(load, 'exit')
      await installation.cloudmoor(['service', 'start'])
      await workerPid(installation)
      expect(await differences(join(mount, 'load', `round-${i}`), expectedFiles(await readManifest(`${manifest}-${i}`)))).toEqual([])
    }
    await installation.uploaded('drive', 120_000)
    await using fresh = await Installation.create()
    await fresh.account('cloud', cloud.account)
    const copy = await fresh.mount('check', 'cloud', ['--read-only'])
    for (let i = 0; i < rounds.both; i++) {
      expect(await differences(join(copy, 'load', `round-${i}`), expectedFiles(await readManifest(`${manifest}-${i}`)))).toEqual([])
    }
  })
})
