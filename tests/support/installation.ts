/** A CloudMoor of its own for a test: own home, own service, driven through the real command line. */
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../..')
const cli = join(root, 'bin/cloudmoor')

export interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** A provider account: what `config create` is told. */
export interface AccountSpec {
  readonly type: string
  readonly set: Readonly<Record<string, string>>
  readonly secrets: Readonly<Record<string, string>>
}

export interface MountStatusJson {
  readonly name: string
  readonly state: string
  readonly reason: string
  readonly path: string
  readonly pid: number
  readonly queue: { readonly files: number; readonly bytes: number; readonly parked: number; readonly uploading: number } | null
  readonly conditions: readonly { readonly kind: string }[]
}

export interface StatusJson {
  readonly service: { readonly pid: number } | null
  readonly mounts: readonly MountStatusJson[]
}

/** Runs a program; rejects only if it outlives `timeoutMs` (it is killed then). */
export function run(
  command: string,
  args: readonly string[],
  options: { input?: string; timeoutMs?: number; env?: NodeJS.ProcessEnv; cwd?: string } = {},
): Promise<Outcome> {
  return new Promise((done, fail) => {
    const child = spawn(command, args, {
      cwd: options.cwd ?? '/',
      env: options.env ?? process.env,
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    const timer = setTimeout(() => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      fail(new Error(`${command} ${args.join(' ')} took longer than ${options.timeoutMs ?? 60_000} ms\n${stdout}\n${stderr}`))
    }, options.timeoutMs ?? 60_000)
    child.on('error', fail)
    // Not 'close': a service that the command started keeps the pipes' other ends open only if it inherited them.
    child.on('exit', (code, signal) => {
      clearTimeout(timer)
      setImmediate(() => {
        done({ code: code ?? (signal === null ? 1 : 128), stdout, stderr })
      })
    })
    child.stdin.on('error', () => undefined)
    child.stdin.end(options.input ?? '')
  })
}

/** Runs a shell script with `set -eu`, outside of any mount; throws with its output unless it exits 0. */
export async function shell(script: string, timeoutMs = 120_000, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const outcome = await run('/bin/bash', ['--norc', '-euc', script], { timeoutMs, env: { ...process.env, ...env } })
  if (outcome.code !== 0) throw new Error(`exit ${outcome.code}\n${script}\n--- stdout\n${outcome.stdout}\n--- stderr\n${outcome.stderr}`)
  return outcome.stdout
}

export class Installation implements AsyncDisposable {
  readonly folder: string
  readonly home: string
  /** Program and arguments that `cloudmoor` is run by: another user, another name space. */
  wrapper: readonly string[] = []
  /** Beside the test's own variables. */
  readonly env: NodeJS.ProcessEnv

  readonly #isOurs: boolean

  private constructor(folder: string, home: string, isOurs: boolean) {
    this.folder = folder
    this.home = home
    this.#isOurs = isOurs
    this.env = { ...process.env, CLOUDMOOR_HOME: home }
  }

  /** @param place of its state, and of mounts and scratch files; in a folder of its own, removed at the end, unless told */
  static async create(place: { readonly folder?: string; readonly home?: string } = {}): Promise<Installation> {
    const folder = place.folder ?? (await mkdtemp(join(tmpdir(), 'cm-')))
    const home = place.home ?? join(folder, 'home')
    await mkdir(home, { recursive: true, mode: 0o700 })
    return new Installation(folder, home, place.folder === undefined)
  }

  /** Runs `cloudmoor` and gives its outcome, whatever it is. */
  attempt(args: readonly string[], options: { input?: string; timeoutMs?: number } = {}): Promise<Outcome> {
    const [command = cli, ...rest] = [...this.wrapper, cli, ...args]
    return run(command, rest, { ...options, env: this.env })
  }

  /** Runs `cloudmoor`; throws with what it printed, and the end of the logs, unless it exits 0. */
  async cloudmoor(args: readonly string[], options: { input?: string; timeoutMs?: number } = {}): Promise<string> {
    const outcome = await this.attempt(args, options)
    if (outcome.code !== 0) {
      throw new Error(
        `cloudmoor ${args.join(' ')}: exit ${outcome.code}\n${outcome.stdout}${outcome.stderr}\n--- logs\n${await this.logs()}`,
      )
    }
    return outcome.stdout
  }

  /** Saves an account. */
  async account(name: string, spec: AccountSpec): Promise<void> {
    const secrets = Object.entries(spec.secrets)
    await this.cloudmoor(
      [
        'config',
        'create',
        name,
        '--provider',
        spec.type,
        ...Object.entries(spec.set).flatMap(([key, value]) => ['--set', `${key}=${value}`]),
        ...secrets.flatMap(([key]) => ['--set-secret', `${key}=-`]),
      ],
      { input: secrets.map(([, value]) => `${value}\n`).join('') },
    )
  }

  /** Saves a mount, mounts it and gives its folder. */
  async mount(name: string, account: string, flags: readonly string[] = []): Promise<string> {
    const path = join(this.folder, `mnt-${name}`)
    await mkdir(path, { recursive: true })
    await this.cloudmoor(['mount', 'add', name, '--provider', account, '--path', path, ...flags])
    await this.cloudmoor(['mount', name])
    return path
  }

  async status(): Promise<StatusJson> {
    return JSON.parse(await this.cloudmoor(['status', '--json'])) as StatusJson
  }

  async mountStatus(name: string): Promise<MountStatusJson> {
    const found = (await this.status()).mounts.find((mount) => mount.name === name)
    if (found === undefined) throw new Error(`no mount ${name}`)
    return found
  }

  /** Waits until the provider has confirmed everything of the mount. */
  async uploaded(name: string, timeoutMs = 60_000): Promise<void> {
    const end = performance.now() + timeoutMs
    for (;;) {
      const { queue, conditions } = await this.mountStatus(name)
      if (queue !== null && queue.files === 0) return
      if (performance.now() > end) {
        throw new Error(
          `not uploaded within ${timeoutMs} ms: ${JSON.stringify({ queue, conditions })}\n${await this.cloudmoor(['transfers'])}\n${await this.logs()}`,
        )
      }
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }

  async logs(): Promise<string> {
    const { stdout } = await run('/bin/bash', ['-c', `tail -n 30 "${this.home}"/logs/*.log 2>/dev/null | tail -c 12000`])
    return stdout
  }

  /** Processes of this installation: services by their environment, workers (which have none of it) by their socket's path. */
  pids(): Promise<readonly number[]> {
    return this.#pidsBy((line, environment) => this.#isWorker(line) || environment.split('\0').includes(`CLOUDMOOR_HOME=${this.home}`))
  }

  /** Workers, the idle ones too. */
  workerPids(): Promise<readonly number[]> {
    return this.#pidsBy((line) => this.#isWorker(line))
  }

  /** Stops every process where it is. Gives what `killAll` has to end. */
  async freeze(): Promise<ReadonlySet<number>> {
    const stopped = new Set<number>()
    for (let news = true; news; ) {
      const pids = (await this.pids()).filter((pid) => !stopped.has(pid))
      for (const pid of pids) if (signal(pid, 'SIGSTOP')) stopped.add(pid)
      news = pids.length > 0
    }
    return stopped
  }

  /** As a power cut ends them: no process gets a word in, none sees another one die. */
  async killAll(): Promise<void> {
    for (const pid of await this.freeze()) signal(pid, 'SIGKILL')
    await this.clearMounts()
  }

  /** Ends kernel connections of mounts below our folder (first of all, so that nothing hangs), and takes the mounts away. */
  async clearMounts(): Promise<void> {
    const table = await readFile('/proc/self/mountinfo', 'utf8')
    const ours = table
      .split('\n')
      .map((line) => line.split(' '))
      .filter((fields) => fields[4]?.startsWith(`${this.folder}/`) === true && fields.some((field) => field.startsWith('fuse')))
    for (const [, , device = ''] of ours) {
      await writeFile(`/sys/fs/fuse/connections/${device.split(':')[1] ?? ''}/abort`, '1').catch(() => undefined)
    }
    for (const fields of ours) await run('umount', ['-l', fields[4] ?? ''], { timeoutMs: 10_000 }).catch(() => undefined)
  }

  #isWorker(commandLine: string): boolean {
    return commandLine.includes(`${this.home}/run/workers/`)
  }

  async #pidsBy(isOurs: (commandLine: string, environment: string) => boolean): Promise<readonly number[]> {
    const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 1 && pid !== process.pid)
    const found = await Promise.all(
      pids.map(async (pid) => {
        const read = (file: string) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')
        return isOurs(await read('cmdline'), await read('environ')) ? [pid] : []
      }),
    )
    return found.flat()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.attempt(['service', 'stop'], { timeoutMs: 45_000 }).catch(() => undefined)
    // Whatever a failed test left.
    await this.clearMounts()
    await this.killAll()
    if (this.#isOurs) await rm(this.folder, { recursive: true, force: true })
  }
}

/** False if it is gone already. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name)
  } catch {
    return false
  }
}
