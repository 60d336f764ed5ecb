/** A disk in a file whose power can be cut: what its file system had not written by then is gone. */
import { mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { run, shell } from '../support/installation.ts'

export type DiskKind = 'ext4' | 'xfs' | 'btrfs'

/** File systems that copy a file at one instant. */
const hosts = ['xfs', 'btrfs'] as const

async function has(program: string): Promise<boolean> {
  return (await run('/bin/sh', ['-c', `PATH="$PATH:/usr/sbin:/sbin" command -v ${program}`])).code === 0
}

async function findHost(): Promise<(typeof hosts)[number] | undefined> {
  for (const kind of hosts) if (await has(`mkfs.${kind}`)) return kind
  return undefined
}

/** Null, or the reason why there can be no such disk here. */
export async function whyNoCutDisk(kind: DiskKind): Promise<string | null> {
  if (process.getuid?.() !== 0) return 'disks in files are mounted by root only'
  if ((await run('losetup', ['-f']).catch(() => ({ code: 1 }))).code !== 0) return 'there is no loop device'
  if (!(await has(`mkfs.${kind}`)))
    return `mkfs.${kind} is missing: apt-get install ${kind === 'ext4' ? 'e2fsprogs' : kind === 'xfs' ? 'xfsprogs' : 'btrfs-progs'}`
  return (await findHost()) === undefined ? 'mkfs.xfs is missing: apt-get install xfsprogs' : null
}

/**
 * The image lies on a file system that copies files at one instant, and the loop device writes into that file: the copy holds
 * what the disk had by then, and nothing of what was on its way.
 */
export class CutDisk implements AsyncDisposable {
  /** Where it is mounted. */
  readonly path: string
  readonly #host: string
  readonly #image: string

  readonly #options: string

  private constructor(folder: string, kind: DiskKind) {
    // Another name space may still have the disk as it was before the cut; xfs mounts no twin of it unless told.
    this.#options = kind === 'xfs' ? 'loop,nouuid' : 'loop'
    this.path = join(folder, 'disk')
    this.#host = join(folder, 'host')
    this.#image = join(this.#host, 'disk.img')
  }

  static async create(folder: string, kind: DiskKind): Promise<CutDisk> {
    const disk = new CutDisk(folder, kind)
    const host = await findHost()
    await mkdir(disk.path)
    await mkdir(disk.#host)
    try {
      await shell(`
        export PATH="$PATH:/usr/sbin:/sbin"
        truncate -s 4G "${folder}/host.img"; mkfs.${host} -q "${folder}/host.img" > /dev/null; mount -o loop "${folder}/host.img" "${disk.#host}"
        truncate -s 512M "${disk.#image}"; mkfs.${kind} -q "${disk.#image}" > /dev/null; mount -o ${disk.#options} "${disk.#image}" "${disk.path}"`)
    } catch (error) {
      await disk[Symbol.asyncDispose]()
      throw error
    }
    return disk
  }

  /** Keeps what is on the disk at this instant. */
  async cut(): Promise<void> {
    await shell(`cp --reflink=always "${this.#image}" "${this.#image}.cut"`)
  }

  /** Goes back to what was there at the cut. Nobody may use the disk any more. */
  async restart(): Promise<void> {
    await unmount(this.path)
    await rename(`${this.#image}.cut`, this.#image)
    await shell(`mount -o ${this.#options} "${this.#image}" "${this.path}"`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await unmount(this.path).catch(() => undefined)
    await unmount(this.#host).catch(() => undefined)
  }
}

/** Processes that were killed take a moment to let go of their files. */
async function unmount(path: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const { code, stderr } = await run('umount', [path])
    if (code === 0 || /not mounted/.test(stderr)) return
    await sleep(50)
  }
  await run('umount', ['-l', path])
  throw new Error(`${path} is still in use: ${(await run('/bin/sh', ['-c', `ls -l /proc/[0-9]*/fd 2>/dev/null | grep "${path}"`])).stdout}`)
}
