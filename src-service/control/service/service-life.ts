import { spawn } from 'node:child_process'
import { CloudError } from '../../common/errors.ts'
import type { Native } from '../../common/native/native.ts'
import type { Log } from '../../common/telemetry/log.ts'
import type { ServiceControl, UnsentMount } from '../api/service-control.ts'
import { withoutRestore } from './service-flags.ts'

/** What a service is made of, as far as its end goes. In the order in which the parts end. */
export interface ServiceParts {
  readonly api: { close(graceMs: number): Promise<void> }
  readonly mounts: {
    shutdown(uploadTimeoutMs: number | null): Promise<readonly UnsentMount[]>
    handOver(): Promise<void>
  }
  readonly store: { close(): Promise<void> }
  readonly log: Log
}

/** EX_SOFTWARE */
const crashed = 70
const interrupted = 130
const graceMs = 1_000
/** The answer of the last call goes out first. */
const farewellMs = 100

/** How the service process ends: orderly, by handing over to a successor, or by a fault. Mounts survive the last two. */
export class ServiceLife implements ServiceControl {
  readonly #native: Native
  #parts: ServiceParts | undefined
  #successor = false
  #ending: Promise<readonly UnsentMount[]> | undefined

  constructor(native: Native) {
    this.#native = native
  }

  /** From now on signals and calls end the service as they should; SIGHUP reads the configuration files again. */
  begin(parts: ServiceParts, reload: () => void): void {
    this.#parts = parts
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.#onSignal())
    process.on('SIGHUP', reload)
    process.on('SIGUSR2', () => this.restart())
    process.on('uncaughtException', (caught) => this.#crash(caught))
    process.on('unhandledRejection', (caught) => this.#crash(caught))
    this.#native.notifySystemd('READY=1')
  }

  async shutdown(uploadTimeoutMs: number | null): Promise<readonly UnsentMount[]> {
    const { mounts, log } = this.#running()
    this.#native.notifySystemd('STOPPING=1')
    this.#ending ??= mounts.shutdown(uploadTimeoutMs)
    const unsent = await this.#ending
    for (const { name, queue } of unsent)
      log.write('warn', `'${name}' still has ${queue.files} files (${queue.bytes} bytes) to upload; they are kept`)
    setTimeout(() => void this.#end(), farewellMs)
    return unsent
  }

  async replace(uploadTimeoutMs: number | null, change: () => Promise<void>): Promise<readonly UnsentMount[]> {
    const { mounts, log } = this.#running()
    if (this.#ending !== undefined) throw new CloudError('unavailable', 'the service ends', { code: 'SHUTTING_DOWN' })
    this.#ending = mounts.shutdown(uploadTimeoutMs)
    const unsent = await this.#ending
    // With its workers ended it cannot go on: if the change fails, the successor has everything as it was.
    const failed = await change().then(
      () => null,
      (caught: unknown) => CloudError.from(caught),
    )
    log.write(failed === null ? 'info' : 'error', failed?.message ?? 'a new process takes over, with other data')
    setTimeout(() => void this.#end(), farewellMs)
    this.#successor = true
    if (failed !== null) throw failed
    return unsent
  }

  restart(): void {
    if (this.#ending !== undefined) return
    this.#ending = Promise.resolve([])
    setTimeout(() => void this.#handOver(), farewellMs)
  }

  #onSignal(): void {
    // Whoever insists gets the process ended; the workers go on serving until the next service comes.
    if (this.#ending !== undefined) process.exit(interrupted)
    void this.shutdown(null)
  }

  async #end(): Promise<void> {
    const { api, store, log } = this.#running()
    await api.close(graceMs)
    await store.close()
    const pid = this.#successor ? this.#startSuccessor() : null
    await log.close()
    process.exit(pid === undefined ? 1 : 0)
  }

  async #handOver(): Promise<void> {
    const { api, mounts, store, log } = this.#running()
    log.write('info', 'a new process takes over')
    await api.close(graceMs)
    await mounts.handOver()
    // This frees the home for the successor.
    await store.close()
    const pid = this.#startSuccessor()
    await log.close()
    process.exit(pid === undefined ? 1 : 0)
  }

  #startSuccessor(): number | undefined {
    const pid = startSuccessor()
    if (pid !== undefined) this.#native.notifySystemd(`MAINPID=${pid}`)
    return pid
  }

  #crash(caught: unknown): void {
    const error = CloudError.from(caught)
    this.#parts?.log.write('error', `the service ends: ${error.message}`, { kind: error.kind })
    console.error(caught)
    process.exit(crashed)
  }

  #running(): ServiceParts {
    if (this.#parts === undefined) throw new CloudError('unavailable', 'the service is still starting')
    return this.#parts
  }
}

/** The program as it was started, so that after an upgrade the launcher finds the new version. */
function startSuccessor(): number | undefined {
  const launcher = process.env['CLOUDMOOR_LAUNCHER']
  const args = withoutRestore(process.argv.slice(2))
  const [command, first] = launcher === undefined ? [process.execPath, [...process.execArgv, process.argv[1] ?? '']] : [launcher, []]
  const child = spawn(command, [...first, ...args], { cwd: '/', detached: true, stdio: 'inherit', env: process.env })
  child.unref()
  return child.pid
}
