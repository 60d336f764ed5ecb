import { type ChildProcess, spawn } from 'node:child_process'
import { access, constants, stat, unlink, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { type Clock, pause } from '../../../common/clock.ts'
import { CloudError } from '../../../common/errors.ts'
import { makeFolders } from '../../../common/make-folders.ts'
import { mountedAt, readMountTable } from '../mount-table.ts'

export interface RcloneMountOptions {
  readonly mountId: string
  readonly path: string
  /** Shown as the device where that is possible, `cloudmoor:NAME`. */
  readonly source: string
  /** Of the drive's WebDAV door on the loopback interface, and what opens it. */
  readonly port: number
  readonly token: string
  /** For files that are being written; kept over restarts, so that what rclone had not handed over yet is not lost. */
  readonly cacheFolder: string
  /** For the configuration, which holds the token and is gone as soon as the mount stands. */
  readonly runFolder: string
  readonly allowOther: boolean
  readonly readOnly: boolean
  readonly uid: number
  readonly gid: number
  readonly umask: number
}

/** A running `rclone mount`. */
export interface RcloneChild {
  readonly pid: number
  /** As the mount table has it; '' where there is no such table. */
  readonly device: string
  readonly source: string
  /** Resolves with the exit code, null after a signal. */
  readonly exited: Promise<number | null>
  /** Asks it to unmount and end; it is killed after `patienceMs`. */
  stop(patienceMs: number): Promise<void>
}

const mountMs = 20_000
const pollMs = 50
const remote = 'cloudmoor'
/** What rclone may know of this machine: where things are. */
const kept = ['PATH', 'HOME', 'TMPDIR', 'TEMP', 'TMP', 'SystemRoot', 'USERPROFILE', 'LOCALAPPDATA', 'LANG']

/** The program on the PATH. Throws `unsupported`, RCLONE_MISSING. */
export async function findRclone(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const name = process.platform === 'win32' ? 'rclone.exe' : 'rclone'
  for (const folder of (env['PATH'] ?? '').split(delimiter).filter((one) => one !== '')) {
    const path = join(folder, name)
    if (await can(path, constants.X_OK)) return path
  }
  throw new CloudError('unsupported', 'rclone is not on the PATH of the service', {
    code: 'RCLONE_MISSING',
    hint: 'Install rclone 1.65 or newer (https://rclone.org/install/), then start the service again.',
  })
}

/** Starts rclone and waits until the mount stands. Throws what rclone said. */
export async function mountRclone(program: string, options: RcloneMountOptions, clock: Clock): Promise<RcloneChild> {
  const config = join(options.runFolder, `rclone-${options.mountId}.conf`)
  await makeFolders(options.cacheFolder, 0o700)
  await unlink(config).catch(() => undefined)
  await writeFile(config, configuration(options), { mode: 0o600, flag: 'wx' })
  try {
    const env = Object.fromEntries(kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])))
    const before = await deviceOf(options.path)
    const child = spawn(program, await argumentsOf(config, options), { cwd: dirname(program), stdio: ['ignore', 'ignore', 'pipe'], env })
    const running = new Running(child, options, clock)
    await running.untilMounted(before)
    return running
  } finally {
    await unlink(config).catch(() => undefined)
  }
}

class Running implements RcloneChild {
  readonly exited: Promise<number | null>
  device = ''
  source: string
  readonly #child: ChildProcess
  readonly #options: RcloneMountOptions
  readonly #clock: Clock
  #said = ''
  #isGone = false

  constructor(child: ChildProcess, options: RcloneMountOptions, clock: Clock) {
    this.#child = child
    this.#options = options
    this.#clock = clock
    this.source = options.source
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#said = (this.#said + chunk.toString()).slice(-2000)
    })
    this.exited = new Promise((resolve) => {
      child.on('error', (error) => {
        this.#said = error.message
        this.#isGone = true
        resolve(null)
      })
      child.on('exit', (code) => {
        this.#isGone = true
        resolve(code)
      })
    })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  async untilMounted(before: number | null): Promise<void> {
    const end = this.#clock.monotonic() + mountMs
    while (!(await this.#isMounted(before))) {
      if (this.#isGone || this.#clock.monotonic() > end) {
        await this.stop(1000)
        throw new CloudError(
          'io',
          `rclone did not mount ${this.#options.path}: ${this.#said.trim().split('\n').at(-1) ?? 'it said nothing'}`,
          {
            code: 'RCLONE_FAILED',
          },
        )
      }
      await pause(this.#clock, pollMs)
    }
  }

  async stop(patienceMs: number): Promise<void> {
    if (this.#isGone) return
    this.#child.kill('SIGTERM')
    const ended = await Promise.race([this.exited.then(() => true), pause(this.#clock, patienceMs).then(() => false)])
    if (ended) return
    this.#child.kill('SIGKILL')
    await this.exited
  }

  async #isMounted(before: number | null): Promise<boolean> {
    const { path } = this.#options
    if (process.platform !== 'linux') {
      const now = await deviceOf(path)
      return now !== null && now !== before
    }
    const entry = mountedAt(await readMountTable(), path)
    if (entry === undefined || (!entry.type.startsWith('fuse.rclone') && !entry.type.startsWith('nfs'))) return false
    this.device = entry.device
    this.source = entry.source
    return true
  }
}

/** `mount` needs FUSE or WinFsp; `nfsmount` the system's own NFS client, and on Linux the right to mount. */
async function argumentsOf(config: string, options: RcloneMountOptions): Promise<readonly string[]> {
  const { path, source, cacheFolder, allowOther, readOnly, uid, gid, umask } = options
  const windows = process.platform === 'win32'
  const byFuse = windows || (process.platform === 'linux' && (await can('/dev/fuse', constants.R_OK | constants.W_OK)))
  return [
    ...[byFuse ? 'mount' : 'nfsmount', `${remote}:`, path, '--config', config, '--cache-dir', cacheFolder, '--ask-password=false'],
    // What is written lies there until it is closed; our own cache, which the drive's states tell of, has it soon after. Not at
    // once (0s): then rclone sends it outside of its queue, and does not send it again if it is renamed or touched meanwhile.
    ...['--vfs-cache-mode', 'writes', '--vfs-write-back', '1s', '--vfs-cache-max-age', '30s', '--vfs-cache-poll-interval', '30s'],
    ...['--dir-cache-time', '1s', '--attr-timeout', '1s', '--poll-interval', '0', '--buffer-size', '0', '--no-checksum'],
    // A worker that is being replaced is away for a moment: its port refuses connections.
    ...['--low-level-retries', '100', '--retries', '1', '--contimeout', '5s', '--log-level', 'NOTICE'],
    ...(windows ? ['--volname', source] : ['--devname', source, '--uid', String(uid), '--gid', String(gid)]),
    ...(windows ? [] : ['--umask', `0${umask.toString(8)}`]),
    ...(allowOther && !windows ? ['--allow-other'] : []),
    ...(readOnly ? ['--read-only'] : []),
  ]
}

/** The vendor is one whose uploads carry the time of change. */
function configuration({ port, token }: RcloneMountOptions): string {
  return `[${remote}]\ntype = webdav\nurl = http://127.0.0.1:${port}/\nvendor = owncloud\nbearer_token = ${token}\n`
}

/** Null if there is nothing. */
async function deviceOf(path: string): Promise<number | null> {
  return stat(path).then(
    ({ dev }) => dev,
    () => null,
  )
}

function can(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  )
}
