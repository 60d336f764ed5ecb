import { CloudError } from '../../common/errors.ts'
import type { MountRecord, Options } from '../store/records.ts'

/** Name and sharing are words; the rest is what kernel and worker were told when it was mounted. */
export function fixedChanges(record: MountRecord, change: Partial<MountRecord>): string[] {
  const fixed = ['path', 'cacheSize', 'cacheDir', 'readOnly', 'access', 'uid', 'gid', 'umask', 'options'] as const
  return fixed.filter((field) => change[field] !== undefined && !same(change[field], record[field]))
}

/** Throws `busy` for a change that needs the mount to be down. */
export function refuseWhileMounted(record: MountRecord, change: Partial<MountRecord>): void {
  const changed = fixedChanges(record, change)
  if (changed.length === 0) return
  throw new CloudError('busy', `${changed.join(', ')} cannot change while '${record.name}' is mounted`, {
    hint: `Unmount it first: cloudmoor unmount ${record.name}`,
  })
}

function same(a: string | number | boolean | Options, b: string | number | boolean | Options): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
