import { hash, verify } from '@node-rs/argon2'
import type { Options } from '@node-rs/argon2'
import { CloudError } from '../../common/errors.ts'
import type { Secret } from '../../common/secret.ts'
import { serialise } from '../../common/serialise.ts'

/** Argon2id cost of a login; OWASP asks for at least 19 MiB and 2 passes. */
export interface PasswordCost {
  readonly memoryKiB: number
  readonly passes: number
}

export const loginCost: PasswordCost = { memoryKiB: 46 * 1024, passes: 2 }

const minLength = 10
const maxLength = 256
/** Each takes memory and a thread of the pool: who sends many logins at once waits, or is told to. */
const maxWaiting = 4

export interface Passwords {
  /** Argon2id in PHC form. Throws `invalid` for a password that is too short. */
  seal(password: Secret): Promise<string>
  /** Takes as long for '' as for a hash. */
  matches(sealed: string, password: Secret): Promise<boolean>
}

export function createPasswords(cost: PasswordCost): Passwords {
  const inTurn = serialise()
  let waiting = 0
  // Argon2id is what the package does unless told otherwise; a test looks at the result.
  const options: Options = { memoryCost: cost.memoryKiB, timeCost: cost.passes, parallelism: 1 }
  let decoy: Promise<string> | undefined

  async function queued<T>(work: () => Promise<T>): Promise<T> {
    if (waiting >= maxWaiting) throw new CloudError('throttled', 'too many logins at once', { code: 'LOGIN_THROTTLED', retryAfterMs: 1000 })
    waiting++
    try {
      return await inTurn(work)
    } finally {
      waiting--
    }
  }

  return {
    seal: async (password) => {
      const { length } = password.reveal()
      if (length < minLength || length > maxLength) {
        throw new CloudError('invalid', `a password has ${minLength} to ${maxLength} characters`)
      }
      return queued(() => hash(password.reveal(), options))
    },
    matches: async (sealed, password) =>
      queued(async () => {
        decoy ??= hash('nobody has this password', options)
        const given = password.reveal().slice(0, maxLength + 1)
        const same = await verify(sealed === '' ? await decoy : sealed, given)
        return same && sealed !== ''
      }),
  }
}
