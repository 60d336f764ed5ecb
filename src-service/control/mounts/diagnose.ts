import { execFile } from 'node:child_process'
import { access, constants, readFile, stat, statfs } from 'node:fs/promises'
import { promisify } from 'node:util'
import { CloudError } from '../../common/errors.ts'
import type { Native } from '../../common/native/native.ts'
import type { Places } from '../../common/paths.ts'
import { findRclone } from './drivers/rclone.ts'
import type { Diagnosis } from './mount-manager-contract.ts'

const helperPaths = ['/usr/bin/fusermount3', '/bin/fusermount3', '/usr/local/bin/fusermount3']
const versionMs = 5_000
/** 1.65: the first with nfsmount. */
const oldestRclone = 1065
const setUserId = 0o4000
/** Below this the next big file fills the disk. */
const littleSpace = 1024 ** 3

/** What is missing on this machine for mounting. */
export async function diagnose(native: Native, places: Places): Promise<readonly Diagnosis[]> {
  return [await fuseDevice(), await mountRight(native), await otherUsers(native), await rclone(), await statePlace(places)]
}

async function fuseDevice(): Promise<Diagnosis> {
  const name = 'fuse-device'
  if (await can('/dev/fuse', constants.R_OK | constants.W_OK)) return ok(name, '/dev/fuse can be opened')
  if (!(await can('/dev/fuse', constants.F_OK))) {
    return {
      name,
      result: 'failure',
      detail: '/dev/fuse is missing',
      hint: 'modprobe fuse; in a container: --device /dev/fuse --cap-add SYS_ADMIN',
    }
  }
  return {
    name,
    result: 'failure',
    detail: '/dev/fuse may not be opened by this user',
    hint: 'chmod 0666 /dev/fuse, or add the user to its group',
  }
}

async function mountRight(native: Native): Promise<Diagnosis> {
  const name = 'mount-right'
  if (native.canMount()) return ok(name, 'the service may mount by itself')
  for (const path of helperPaths) {
    const found = await stat(path).catch(() => null)
    if (found === null) continue
    if ((found.mode & setUserId) !== 0 && found.uid === 0) return ok(name, `the service mounts through ${path}`)
    return { name, result: 'failure', detail: `${path} is not setuid root`, hint: `chmod 4755 ${path}` }
  }
  return { name, result: 'failure', detail: 'fusermount3 is missing', hint: 'Install the package fuse3: apt-get install fuse3' }
}

async function otherUsers(native: Native): Promise<Diagnosis> {
  const name = 'allow-other'
  const allowed = native.canMount() || /^\s*user_allow_other\s*$/m.test(await readFile('/etc/fuse.conf', 'utf8').catch(() => ''))
  if (allowed) return ok(name, 'other users can be let into mounts')
  return {
    name,
    result: 'warning',
    detail: 'other users cannot be let into mounts (--access all)',
    hint: "Write 'user_allow_other' into /etc/fuse.conf.",
  }
}

/** Needed where there is no FUSE device of ours, and by mounts that ask for it. */
async function rclone(): Promise<Diagnosis> {
  const name = 'rclone'
  const isNeeded = !(await can('/dev/fuse', constants.F_OK))
  try {
    const path = await findRclone()
    const { stdout } = await promisify(execFile)(path, ['version'], { timeout: versionMs, env: {} })
    const version = /^rclone v(\d+)\.(\d+)\S*/.exec(stdout)
    const isOld = version === null || Number(version[1]) * 1000 + Number(version[2]) < oldestRclone
    if (!isOld) return ok(name, `${path}, ${version[0]}`)
    return { name, result: isNeeded ? 'failure' : 'warning', detail: `${path} is older than 1.65`, hint: 'Install a newer rclone.' }
  } catch (caught) {
    const { message, hint = '' } = CloudError.from(caught)
    if (!isNeeded) return ok(name, `${message}; only mounts with driver=rclone need it`)
    return { name, result: 'failure', detail: message, hint }
  }
}

async function statePlace(places: Places): Promise<Diagnosis> {
  const name = 'state-folder'
  if (!(await can(places.state, constants.W_OK))) {
    return { name, result: 'failure', detail: `${places.state} cannot be written`, hint: 'Give it to the user of the service.' }
  }
  const { bavail, bsize } = await statfs(places.state)
  const free = bavail * bsize
  if (free >= littleSpace) return ok(name, `${places.state} has ${Math.floor(free / 1024 ** 3)} GiB free`)
  return {
    name,
    result: 'warning',
    detail: `${places.state} has less than 1 GiB free`,
    hint: 'Free some space, or use --cache-dir on another disk.',
  }
}

function ok(name: string, detail: string): Diagnosis {
  return { name, result: 'ok', detail, hint: '' }
}

function can(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  )
}
