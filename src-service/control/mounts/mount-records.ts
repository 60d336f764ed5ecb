import { readdir, readFile, rename, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ensurePrivateFolder } from '../../common/paths.ts'

/**
 * What this home has mounted, one file per mount in the run folder: after a crash of service and worker a dead mount is
 * known as ours without touching it, because touching it could hang.
 */
export interface KernelMountRecord {
  readonly mountId: string
  readonly path: string
  /** `major:minor` of the mount; '' in the moment between mounting and knowing it. */
  readonly device: string
  /** `cloudmoor:NAME` */
  readonly source: string
}

export class MountRecords {
  readonly #folder: string

  /** @param run the run folder; it is emptied by a reboot, as the mounts are. */
  constructor(run: string) {
    this.#folder = join(run, 'mounts')
  }

  async save(record: KernelMountRecord): Promise<void> {
    await ensurePrivateFolder(this.#folder, 0o700)
    const path = this.#pathOf(record.mountId)
    await writeFile(`${path}.new`, JSON.stringify(record), { mode: 0o600 })
    await rename(`${path}.new`, path)
  }

  async remove(mountId: string): Promise<void> {
    await unlink(this.#pathOf(mountId)).catch(() => {})
  }

  /** Records that cannot be read are left out: their mounts are not touched. */
  async list(): Promise<readonly KernelMountRecord[]> {
    const names = await readdir(this.#folder).catch(() => [])
    const found = await Promise.all(names.filter((name) => name.endsWith('.json')).map((name) => readRecord(join(this.#folder, name))))
    return found.filter((record) => record !== null)
  }

  #pathOf(mountId: string): string {
    return join(this.#folder, `${mountId}.json`)
  }
}

async function readRecord(path: string): Promise<KernelMountRecord | null> {
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'))
    return isRecord(value) ? value : null
  } catch {
    return null
  }
}

function isRecord(value: unknown): value is KernelMountRecord {
  if (typeof value !== 'object' || value === null) return false
  return ['mountId', 'path', 'device', 'source'].every((field) => typeof (value as Record<string, unknown>)[field] === 'string')
}
