import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { type Cloud, localCloud } from '../support/clouds.ts'
import { Installation } from '../support/installation.ts'
import { connectionOf, untilWaiting } from './kernel.ts'
import { differences, missing, sums } from './manifest.ts'
import { type LoadReport, RunningLoad, together } from './running-load.ts'

interface Ours {
  readonly cloud?: Cloud
  readonly installation?: Installation
  readonly writeBackSeconds?: number
}

/** A mount named `drive` with programs at work on it. */
export class DriveUnderLoad implements AsyncDisposable {
  readonly cloud: Cloud
  readonly installation: Installation
  readonly mount: string
  readonly loads: RunningLoad[] = []
  readonly #all: AsyncDisposableStack

  private constructor(cloud: Cloud, installation: Installation, mount: string, all: AsyncDisposableStack) {
    this.cloud = cloud
    this.installation = installation
    this.mount = mount
    this.#all = all
  }

  /** @param loads how many programs work on it from the start @param ours belongs to the drive from then on */
  static async start(loads: number, ours: Ours = {}): Promise<DriveUnderLoad> {
    await using stack = new AsyncDisposableStack()
    const installation = stack.use(ours.installation ?? (await Installation.create()))
    const cloud = stack.use(ours.cloud ?? (await localCloud()))
    await installation.account('cloud', cloud.account)
    // Uploads begin at once unless told: as many as can be are under way when something dies.
    const mount = await installation.mount('drive', 'cloud', ['--option', `writeBackSeconds=${ours.writeBackSeconds ?? 0}`])
    const drive = new DriveUnderLoad(cloud, installation, mount, stack.move())
    for (let i = 0; i < loads; i++) drive.addLoad(`load-${i}`)
    await Promise.all(drive.loads.map((load) => load.atWork(20)))
    return drive
  }

  /** @param contents folder where the load keeps all versions of its files */
  addLoad(name: string, contents = ''): RunningLoad {
    const load = this.#all.use(new RunningLoad(this.mount, this.installation.folder, name, contents))
    this.loads.push(load)
    return load
  }

  connection(): Promise<number> {
    return connectionOf(this.mount)
  }

  /** The worker that serves the mount. @param except the one before, which may still be listed */
  async workerPid(except = 0): Promise<number> {
    const end = performance.now() + 30_000
    while (performance.now() < end) {
      const { pid, state } = await this.installation.mountStatus('drive')
      if (pid > 0 && pid !== except && state === 'mounted') return pid
      await sleep(20)
    }
    throw new Error(`no worker within its time: ${JSON.stringify(await this.installation.status())}\n${await this.installation.logs()}`)
  }

  async servicePid(): Promise<number> {
    const { service } = await this.installation.status()
    if (service === null) throw new Error(`the service is gone\n${await this.installation.logs()}`)
    return service.pid
  }

  /** Waits for a moment when the kernel waits for the worker: only a kill at such a moment proves something. */
  async busyMoment(): Promise<void> {
    if (untilWaiting(await this.connection(), 5000)) return
    await this.#expectNoErrors()
    throw new Error('the loads do nothing on the mount')
  }

  /** Lets the loads end. Fails the test if one of them saw an error. */
  async stopLoads(): Promise<LoadReport> {
    const reports = await Promise.all(this.loads.map((load) => load.stop()))
    await this.#expectNoErrors()
    return together(reports)
  }

  /** What the loads left is on the mount, and at the remote as another installation with an empty cache sees it; nothing else is. */
  async expectNothingLost(): Promise<void> {
    await this.expectAsLeft(this.mount)
    await this.installation.uploaded('drive', 120_000)
    await this.atRemote((copy) => this.expectAsLeft(copy))
  }

  /** Mounts the remote elsewhere, read-only, with an empty cache. */
  async atRemote(look: (copy: string) => Promise<void>): Promise<void> {
    await using fresh = await Installation.create()
    await fresh.account('cloud', this.cloud.account)
    await look(await fresh.mount('check', 'cloud', ['--read-only']))
  }

  async expectAsLeft(mount: string): Promise<void> {
    for (const load of this.loads) {
      const expected = await load.expectation()
      expect(expected.closed.size).toBeGreaterThan(5)
      expect({ [load.name]: differences(await sums(join(mount, load.name)), expected) }).toEqual({ [load.name]: [] })
    }
  }

  /** Everything that any load had closed is there; what it was at when the mount went away is not looked at. */
  async expectClosedFiles(mount: string): Promise<void> {
    for (const load of this.loads) {
      const { closed } = await load.expectation()
      expect({ [load.name]: missing(await sums(join(mount, load.name)), closed) }).toEqual({ [load.name]: [] })
    }
  }

  async #expectNoErrors(): Promise<void> {
    const errors = (await Promise.all(this.loads.map((load) => load.errors()))).flat()
    if (errors.length > 0) throw new Error(`${await this.installation.logs()}\ncallers saw errors: ${JSON.stringify(errors)}`)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#all.disposeAsync()
  }
}
