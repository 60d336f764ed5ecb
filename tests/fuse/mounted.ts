import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadNative } from '../../src-service/common/native/load-native.ts'
import { defaultGeometry } from '../../src-service/common/frames/messages.ts'
import type { SessionCounters } from '../../src-service/drive/fuse/session.ts'

export type WorkerKind = 'memory' | 'memory-slow' | 'journal' | 'journal-slow' | 'passthrough'

const serve = join(import.meta.dirname, 'serve.ts')
const detach = 2
const control = '/sys/fs/fuse/connections'

/** Some minimal systems do not mount the control file system by themselves. */
function mountControl(): void {
  if (!readFileSync('/proc/mounts', 'utf8').includes(` ${control} `)) spawnSync('mount', ['-t', 'fusectl', 'fusectl', control])
}

/** True where this process may mount; the tests need nothing else from the machine. */
export function canMount(): boolean {
  try {
    return loadNative().canMount()
  } catch {
    return false
  }
}

export interface Ran {
  readonly code: number | null
  readonly output: string
}

/** Runs a program to its end. Only children touch the mount: a test that did so itself could wait for its own worker. */
export async function run(command: string, args: readonly string[], cwd = '/', seconds = 60): Promise<Ran> {
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, HOME: '/nonexistent', LC_ALL: 'C' } })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (output += bytes.toString()))
  const timer = setTimeout(() => child.kill('SIGKILL'), seconds * 1000)
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(timer)
  return { code, output }
}

/** A mount whose connection this process holds, as the supervisor does, served by a worker process that may die. */
export class Mounted {
  readonly path: string
  readonly folder: string
  readonly memoryFd: number
  readonly header: Buffer
  /** Number of the connection in the control file system. */
  readonly connection: number
  readonly #fuseFd: number
  readonly #watchdog: ChildProcess
  worker: ChildProcess | null = null
  /** What the workers said, `ready` excepted. */
  said: string[] = []

  private constructor(folder: string, fuseFd: number, memoryFd: number) {
    this.folder = folder
    this.path = join(folder, 'mount')
    this.#fuseFd = fuseFd
    this.memoryFd = memoryFd
    this.header = loadNative().mapHeader(memoryFd)
    this.connection = connectionOf(this.path)
    const abort = `sleep 170; echo 1 > ${control}/${this.connection}/abort`
    this.#watchdog = spawn('sh', ['-c', abort], { stdio: 'ignore', detached: true })
  }

  static async make(kind: WorkerKind): Promise<Mounted> {
    mountControl()
    const native = loadNative()
    const folder = mkdtempSync(join(tmpdir(), 'fuse-test-'))
    mkdirSync(join(folder, 'mount'))
    const fuseFd = await native.mountDirect(join(folder, 'mount'), {
      source: 'cloudmoor:test',
      allowOther: true,
      readOnly: false,
      maxRead: 1024 * 1024,
    })
    const mounted = new Mounted(folder, fuseFd, native.createRequestMemory(defaultGeometry))
    await mounted.start(kind, false)
    return mounted
  }

  /** Starts a worker and waits until it serves. */
  async start(kind: WorkerKind, takenOver: boolean): Promise<void> {
    const worker = spawn(process.execPath, [serve, kind, this.folder, takenOver ? 'takenOver' : 'fresh'], {
      cwd: '/',
      stdio: ['ignore', 'pipe', 'inherit', this.#fuseFd, this.memoryFd],
    })
    this.worker = worker
    const ready = Promise.withResolvers<null>()
    let partial = ''
    worker.stdout?.on('data', (bytes: Buffer) => {
      const lines = (partial + bytes.toString()).split('\n')
      partial = lines.pop() ?? ''
      for (const line of lines) {
        if (line === 'ready') ready.resolve(null)
        else this.said.push(line)
      }
    })
    worker.once('exit', () => ready.resolve(null))
    await ready.promise
  }

  /** Requests that the kernel waits for. */
  waiting(): number {
    return Number(readFileSync(`${control}/${this.connection}/waiting`, 'utf8'))
  }

  /** Lets the worker play another client of the cloud, and waits until it has told the kernel. */
  async remoteChange(signal: 'SIGUSR1' | 'SIGUSR2'): Promise<void> {
    await this.#ask(signal, (said) => said === 'told')
    await sleep(50) // the notifying thread of the addon
  }

  isGone(): boolean {
    return this.worker === null || this.worker.exitCode !== null || this.worker.signalCode !== null
  }

  /** Kills the worker and waits until it is gone. */
  async kill(): Promise<void> {
    const { worker } = this
    if (worker === null || this.isGone()) return
    const gone = once(worker, 'exit')
    worker.kill('SIGKILL')
    await gone
  }

  /** What the worker counted so far. */
  async counters(): Promise<SessionCounters> {
    const line = await this.#ask('SIGHUP', (said) => said.startsWith('counters '))
    return JSON.parse(line.slice('counters '.length)) as SessionCounters
  }

  async unmount(): Promise<void> {
    await loadNative().unmount(this.path, detach)
  }

  /** Leaves nothing behind, whatever state the mount is in. */
  async remove(): Promise<void> {
    const native = loadNative()
    await this.unmount().catch(() => undefined)
    await this.kill()
    native.closeFd(this.#fuseFd)
    native.closeFd(this.memoryFd)
    if (this.#watchdog.pid !== undefined) process.kill(-this.#watchdog.pid, 'SIGKILL')
    rmSync(this.folder, { recursive: true, force: true })
  }

  async #ask(signal: NodeJS.Signals, answers: (said: string) => boolean): Promise<string> {
    const before = this.said.length
    this.worker?.kill(signal)
    for (let tries = 0; tries < 1000; tries++) {
      const line = this.said.slice(before).find(answers)
      if (line !== undefined) return line
      await sleep(5)
    }
    throw new Error(`no answer to ${signal}: ${this.said.join('\n')}`)
  }
}

/** Minor number of the mount's device, from the mount table, which asks nothing of the mount itself. */
function connectionOf(path: string): number {
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [, , device, , point] = line.split(' ')
    if (point === path && device !== undefined) return Number(device.split(':')[1])
  }
  throw new Error(`${path} is not mounted`)
}
