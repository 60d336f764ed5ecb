import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { MountRecords } from '../../src-service/control/mounts/mount-records.ts'
import { unmountFuse } from '../../src-service/control/mounts/drivers/fuse.ts'
import { fileSystemType, readMountTable } from '../../src-service/control/mounts/mount-table.ts'
import { loadNative } from '../../src-service/common/native/load-native.ts'
import type { Mount, MountSpec } from '../../src-service/control/mounts/mount-manager-contract.ts'

/** How the manager is run: as which version, with which worker and which faults of its drives, behind which wrapper. */
export interface ManagerOptions {
  readonly version?: string
  readonly worker?: string
  readonly connector?: Readonly<Record<string, string | number | boolean>>
  /** Command that the manager is the last argument of. */
  readonly wrapper?: readonly string[]
  /** Default: the one that runs the test. */
  readonly node?: string
}

interface Answer {
  readonly id?: number
  readonly value?: unknown
  readonly error?: { readonly kind: string; readonly code?: string; readonly message: string; readonly hint?: string }
  readonly alert?: string
}

/** A home with a mount manager process that can be killed and started again. `remove` leaves nothing behind. */
export class Managed {
  readonly home = mkdtempSync(join(tmpdir(), 'cmm-'))
  readonly alerts: string[] = []
  #process: ChildProcess | undefined
  #calls = new Map<number, (answer: Answer) => void>()
  #nextId = 1

  /** A folder to mount on. */
  folder(name: string): string {
    const path = join(this.home, 'points', name)
    mkdirSync(path, { recursive: true })
    return path
  }

  get pid(): number {
    return this.#process?.pid ?? 0
  }

  async start(options: ManagerOptions = {}): Promise<void> {
    const script = join(import.meta.dirname, 'manager-process.ts')
    const worker = options.worker ?? join(import.meta.dirname, 'test-worker.ts')
    const command = [
      ...(options.wrapper ?? []),
      options.node ?? process.execPath,
      script,
      join(this.home, 'state'),
      options.version ?? '1.0.0',
      worker,
    ]
    mkdirSync(join(this.home, 'state', 'cloud'), { recursive: true })
    const child = spawn(command[0] ?? '', command.slice(1), {
      cwd: '/',
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, TEST_CONNECTOR: JSON.stringify(options.connector ?? {}) },
    })
    this.#process = child
    const ready = Promise.withResolvers<undefined>()
    createInterface({ input: child.stdout }).on('line', (line) => {
      const answer = JSON.parse(line) as Answer & { readonly ready?: boolean }
      if (answer.ready === true) ready.resolve(undefined)
      if (answer.alert !== undefined) this.alerts.push(answer.alert)
      if (answer.id !== undefined) this.#calls.get(answer.id)?.(answer)
    })
    child.on('exit', (code, signal) => ready.reject(new Error(`the manager ended: ${code ?? signal}`)))
    await ready.promise
  }

  async call<T>(method: string, ...args: readonly unknown[]): Promise<T> {
    if (!this.#isRunning) throw new Error('the manager does not run')
    const id = this.#nextId++
    const answer = await new Promise<Answer>((resolve) => {
      this.#calls.set(id, resolve)
      this.#process?.stdin?.write(`${JSON.stringify({ id, method, args })}\n`)
    })
    this.#calls.delete(id)
    if (answer.error !== undefined) throw Object.assign(new Error(answer.error.message), answer.error)
    return answer.value as T
  }

  create(name: string, spec: Partial<MountSpec> = {}): Promise<Mount> {
    return this.call('create', {
      ...{ name, providerId: 'local', remoteRoot: name, path: this.folder(name), cacheSize: null, cacheDir: '', readOnly: false },
      ...{ access: 'owner', uid: null, gid: null, umask: null, shared: false, labels: [], options: {}, ...spec },
    })
  }

  async mount(name: string, spec: Partial<MountSpec> = {}): Promise<Mount> {
    return this.call('start', (await this.create(name, spec)).record.id)
  }

  async status(name: string): Promise<Mount['status']> {
    const found = (await this.call<readonly Mount[]>('list')).find((mount) => mount.record.name === name)
    if (found === undefined) throw new Error(`no mount ${name}`)
    return found.status
  }

  /** Waits until the mount has this state. */
  async until(name: string, state: string, milliseconds = 15_000): Promise<Mount['status']> {
    const end = performance.now() + milliseconds
    for (;;) {
      const status = await this.status(name)
      if (status.state === state) return status
      if (performance.now() > end) throw new Error(`${name} is ${status.state} (${status.reason}), not ${state}\n${this.log()}`)
      await sleep(10)
    }
  }

  /** SIGKILL to the manager alone. */
  async kill(): Promise<void> {
    const child = this.#process
    if (child === undefined || !this.#isRunning) return
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
  }

  get #isRunning(): boolean {
    return this.#process?.exitCode === null && this.#process.signalCode === null
  }

  log(): string {
    return readFileSync(join(this.home, 'state', 'logs', 'service.log'), 'utf8')
      .split('\n')
      .slice(-40)
      .join('\n')
  }

  /** Ends what is left, by the pids and mounts of this home alone. */
  async remove(): Promise<void> {
    const pids = this.#isRunning
      ? (await this.call<readonly Mount[]>('list').catch(() => [])).flatMap(({ status }) => status.workerPid ?? [])
      : []
    await this.kill()
    for (const entry of await readMountTable()) {
      if (entry.type !== fileSystemType || !entry.mountPoint.startsWith(this.home)) continue
      abort(entry.device)
      await unmountFuse(loadNative(), entry.mountPoint, true).catch(() => {})
    }
    for (const pid of [...pids, ...workersOf(this.home)]) killIfThere(pid)
    await sleep(50)
    rmSync(this.home, { recursive: true, force: true })
  }

  records(): MountRecords {
    return new MountRecords(join(this.home, 'state', 'run'))
  }
}

/** Processes whose command line names this home. */
export function workersOf(home: string): readonly number[] {
  return processes().filter((pid) => pid !== process.pid && commandLine(pid).includes(`${home}/state/run/workers/`))
}

export function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It is gone.
  }
}

/** Requests that the kernel has given out or holds, and that have no answer yet. @param device `major:minor` */
export function waitingRequests(device: string): number {
  return Number(readFileSync(`/sys/fs/fuse/connections/${device.split(':')[1]}/waiting`, 'utf8'))
}

export function abort(device: string): void {
  try {
    writeFileSync(`/sys/fs/fuse/connections/${device.split(':')[1]}/abort`, '1')
  } catch {
    // It is over.
  }
}

function processes(): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}
