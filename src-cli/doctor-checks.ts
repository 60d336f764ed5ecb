/** What a machine needs for mounts, looked at from the command line itself: works without a service. */
import { constants } from 'node:fs'
import { access, readFile, stat, statfs } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { release } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileFailure } from './local-files.ts'
import { installation, ownSocket, runtimeFolder, stateFolder } from './places.ts'
import { longestSocketPath } from './service.ts'
import { formatSize } from './sizes.ts'

export interface Finding {
  readonly name: string
  readonly result: 'ok' | 'warning' | 'failure'
  /** What was found, one sentence. */
  readonly detail: string
  /** What to do; '' = nothing. */
  readonly hint: string
}

type Found = Omit<Finding, 'name'>

const ok = (detail: string): Found => ({ result: 'ok', detail, hint: '' })
const warning = (detail: string, hint: string): Found => ({ result: 'warning', detail, hint })
const failure = (detail: string, hint: string): Found => ({ result: 'failure', detail, hint })

function node(): Found {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > 22 || (major === 22 && minor >= 14)) return ok(`Node ${process.versions.node}`)
  return failure(`Node ${process.versions.node} is too old`, 'install Node 22.14 or newer; in a checkout scripts/setup fetches it')
}

async function addon(): Promise<Found> {
  const file = join(installation, 'build', 'cloudmoor.node')
  if (!(await exists(file))) return failure(`${file} is missing`, 'build it with scripts/build-addon (needs gcc and libc6-dev)')
  try {
    createRequire(import.meta.url)(file)
    return ok('the C addon loads')
  } catch (error) {
    return failure(`the C addon does not load: ${messageOf(error, file)}`, 'build it on this machine with scripts/build-addon')
  }
}

function kernel(): Found {
  const [major = 0, minor = 0] = release()
    .split('.')
    .map((part) => parseInt(part, 10))
  const version = major * 1000 + minor
  if (version < 5015) return failure(`kernel ${release()} is older than 5.15`, 'use a system with a newer kernel')
  if (version < 6009) return warning(`kernel ${release()} works; files that are wholly local are read faster from 6.9 on`, '')
  return ok(`kernel ${release()}`)
}

async function fuseDevice(): Promise<Found> {
  try {
    await access('/dev/fuse', constants.R_OK | constants.W_OK)
    return ok('/dev/fuse can be opened')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      return failure(
        '/dev/fuse is missing',
        'load the module (modprobe fuse); start a container with --device /dev/fuse --cap-add SYS_ADMIN',
      )
    }
    return failure(messageOf(error, '/dev/fuse'), 'chmod 666 /dev/fuse, as distributions have it; in a container give it the device')
  }
}

async function mountHelper(): Promise<Found> {
  const helper = await onPath('fusermount3')
  if (helper === undefined) {
    const needed = !(await hasMountCapability())
    const found = `fusermount3 is not installed${needed ? '' : '; it is needed only by users who are not root'}`
    return (needed ? failure : warning)(found, 'apt-get install fuse3 (or what your system calls the package)')
  }
  const { mode, uid } = await stat(helper)
  if (uid === 0 && (mode & 0o4000) !== 0) return ok(`${helper} is there`)
  return (await hasMountCapability())
    ? ok(`${helper} is there`)
    : failure(`${helper} is not setuid root`, `chown root ${helper} && chmod 4755 ${helper}`)
}

async function mountRight(): Promise<Found> {
  if (await hasMountCapability()) return ok('this process may mount (CAP_SYS_ADMIN)')
  const status = await readText('/proc/self/status')
  if (/^NoNewPrivs:\s*1/m.test(status))
    return failure('no_new_privs is set, so fusermount3 cannot get its rights', 'start the service outside of this sandbox')
  if ((await onPath('fusermount3')) === undefined) return failure('this user may not mount', 'install fuse3, or run the service as root')
  if (/^CapBnd:\s*(\w+)/m.exec(status)?.[1] !== undefined && !hasSysAdmin(/^CapBnd:\s*(\w+)/m.exec(status)?.[1])) {
    return failure(
      'this container may not mount: CAP_SYS_ADMIN is outside its bounds',
      'start it with --cap-add SYS_ADMIN --device /dev/fuse',
    )
  }
  return ok('mounts go through fusermount3')
}

async function stateDisk(): Promise<Found> {
  const folder = await nearestExisting(stateFolder(process.env))
  try {
    await access(folder, constants.W_OK)
    const { bavail, bsize, type } = await statfs(folder)
    const free = bavail * bsize
    if (type === tmpfs)
      return warning(
        `${folder} is in memory and empty after a restart; unsent files would be lost`,
        'set XDG_STATE_HOME or CLOUDMOOR_HOME to a disk',
      )
    if (free < 100 * 1024 ** 2) return failure(`${formatSize(free)} are free in ${folder}`, 'free some space: unsent files are kept there')
    if (free < 2 * 1024 ** 3)
      return warning(`${formatSize(free)} are free in ${folder}`, 'free some space, or give mounts a smaller --cache-size')
    return ok(`${formatSize(free)} are free in ${folder}`)
  } catch (error) {
    return failure(messageOf(error, folder), 'make it a folder that this user may write to, or set CLOUDMOOR_HOME')
  }
}

const tmpfs = 0x01021994

async function runtime(): Promise<Found> {
  const socket = ownSocket(process.env)
  const length = Buffer.byteLength(socket)
  if (length > longestSocketPath)
    return failure(
      `the socket's path has ${length} bytes, and can have ${longestSocketPath}: ${socket}`,
      'choose a shorter CLOUDMOOR_HOME or XDG_RUNTIME_DIR',
    )
  const folder = runtimeFolder(process.env)
  const existing = await nearestExisting(folder)
  const { uid, mode } = await stat(existing)
  if (existing === folder && uid !== process.getuid?.())
    return failure(`${folder} belongs to user ${uid}`, 'remove it, or set CLOUDMOOR_HOME')
  if (existing === folder && (mode & 0o077) !== 0) return failure(`${folder} is open to other users`, `chmod 700 ${folder}`)
  try {
    await access(existing, constants.W_OK | constants.X_OK)
    return ok(`${folder} can hold the socket`)
  } catch {
    return failure(`${folder} cannot be made: ${existing} is not writable`, 'set CLOUDMOOR_HOME to a folder of yours')
  }
}

/** Every check, in the order in which their faults are best mended. */
export async function checkMachine(): Promise<Finding[]> {
  const checks: readonly (readonly [name: string, check: () => Found | Promise<Found>])[] =
    process.platform === 'linux'
      ? [
          ['node', node],
          ['addon', addon],
          ['kernel', kernel],
          ['fuse-device', fuseDevice],
          ['fusermount3', mountHelper],
          ['mount-right', mountRight],
          ['runtime-folder', runtime],
          ['state-folder', stateDisk],
        ]
      : [
          ['node', node],
          ['system', () => failure(`mounts do not work on ${process.platform} yet`, 'see docs/roadmap.md')],
        ]
  return Promise.all(checks.map(async ([name, check]) => ({ name, ...(await check()) })))
}

const capSysAdmin = 21n

const hasSysAdmin = (mask: string | undefined): boolean => mask !== undefined && ((BigInt(`0x${mask}`) >> capSysAdmin) & 1n) === 1n

async function hasMountCapability(): Promise<boolean> {
  return hasSysAdmin(/^CapEff:\s*(\w+)/m.exec(await readText('/proc/self/status'))?.[1])
}

async function onPath(program: string): Promise<string | undefined> {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin', '/bin', '/usr/local/bin']
  for (const folder of folders) if (folder !== '' && (await exists(join(folder, program)))) return join(folder, program)
  return undefined
}

async function nearestExisting(path: string): Promise<string> {
  let folder = path
  while (!(await exists(folder)) && dirname(folder) !== folder) folder = dirname(folder)
  return folder
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

const readText = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '')

const messageOf = (error: unknown, path: string): string =>
  fileFailure(error, path)?.message ?? `${path}: ${error instanceof Error ? error.message : String(error)}`
