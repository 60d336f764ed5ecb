import { readFile } from 'node:fs/promises'
import { sep } from 'node:path'

/** A line of /proc/self/mountinfo. Reading it never enters a mount, so it answers also where a stat would hang. */
export interface MountEntry {
  readonly mountPoint: string
  /** `major:minor`, st_dev of what is mounted there. */
  readonly device: string
  /** `fuse.cloudmoor` */
  readonly type: string
  /** `cloudmoor:NAME` */
  readonly source: string
}

export const fileSystemType = 'fuse.cloudmoor'

/** All mounts of this process' namespace, in mount order: of two on one path the later one is seen. */
export async function readMountTable(): Promise<readonly MountEntry[]> {
  return parseMountTable(await readFile('/proc/self/mountinfo', 'utf8'))
}

export function parseMountTable(text: string): readonly MountEntry[] {
  return text.split('\n').flatMap((line) => {
    // 36 35 0:52 / /mnt/x rw,nosuid shared:1 - fuse.cloudmoor cloudmoor:x rw,user_id=0
    const fields = line.split(' ')
    const dash = fields.indexOf('-', 6)
    const [device, mountPoint] = [fields[2], fields[4]]
    const [type, source] = [fields[dash + 1], fields[dash + 2]]
    if (dash < 0 || device === undefined || mountPoint === undefined || type === undefined || source === undefined) return []
    return [{ device, mountPoint: unescapeField(mountPoint), type, source: unescapeField(source) }]
  })
}

/** The mount that is seen at exactly this path, if any. */
export function mountedAt(table: readonly MountEntry[], path: string): MountEntry | undefined {
  return table.findLast((entry) => entry.mountPoint === path)
}

export function isInside(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder === sep ? sep : folder + sep)
}

/** The kernel writes space, tab, newline and backslash as octal. */
function unescapeField(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}
