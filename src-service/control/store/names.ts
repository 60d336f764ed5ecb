import { CloudError } from '../../common/errors.ts'

/** Throws `invalid` if a provider or mount cannot have this name. */
export function checkName(noun: 'provider' | 'mount' | 'user' | 'token', name: string): void {
  if (/^[A-Za-z0-9_]([A-Za-z0-9._ -]{0,62}[A-Za-z0-9._-])?$/.test(name)) return
  throw new CloudError('invalid', name === '' ? `the ${noun} needs a name` : `'${name.slice(0, 80)}' cannot be the name of a ${noun}`, {
    hint: 'A name has 1 to 64 characters out of A-Z a-z 0-9 . _ - and space, begins with a letter, a digit or _, and does not end with a space.',
  })
}
