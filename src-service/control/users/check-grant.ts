import { CloudError } from '../../common/errors.ts'
import type { Grant } from './principal.ts'

const maxMounts = 1000

/** A grant as it may be given. Throws `invalid`. */
export function checkGrant({ role, scope }: Grant): Grant {
  if (role === 'admin' && scope.kind !== 'all') {
    throw new CloudError('invalid', 'an admin’s grant covers all mounts', { hint: 'Choose the role operator for some mounts.' })
  }
  switch (scope.kind) {
    case 'all':
      return { role, scope: { kind: 'all' } }
    case 'mounts':
      if (
        scope.mountIds.length === 0 ||
        scope.mountIds.length > maxMounts ||
        scope.mountIds.some((id) => !/^[0-9A-Za-z_-]{1,64}$/.test(id))
      )
        throw new CloudError('invalid', `a grant over mounts names 1 to ${maxMounts} of them by their ids`)
      return { role, scope: { kind: 'mounts', mountIds: [...new Set(scope.mountIds)].sort() } }
    case 'label':
      if (!/^[a-z0-9._-]{1,63}$/.test(scope.label))
        throw new CloudError('invalid', 'a grant over a label names one: 1 to 63 characters out of a-z 0-9 . _ -')
      return { role, scope: { kind: 'label', label: scope.label } }
  }
}
