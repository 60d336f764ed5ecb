import { CloudError } from '../../common/errors.ts'
import type { ResourceRecord } from './records.ts'

/** Throws `read-only` (MANAGED_ELSEWHERE), naming the file, for what a configuration file keeps: that is changed in the file alone. */
export function refuseManaged(noun: 'provider' | 'mount', { managedBy, managedFile, name }: ResourceRecord): void {
  if (managedBy === 'file') throw managedElsewhere(noun, name, managedFile)
}

/** @param file '' = not known: an older version read it */
export function managedElsewhere(noun: 'provider' | 'mount' | 'setting', name: string, file: string): CloudError {
  return new CloudError('read-only', `the ${noun} '${name}' is kept in the configuration file${file === '' ? '' : ` ${file}`}`, {
    code: 'MANAGED_ELSEWHERE',
    hint: 'Change it there; the service reads its files again at SIGHUP and when it starts.',
  })
}
