import type { Method, Methods } from '../../common/frames/messages.ts'
import { divideRate } from './divide-rate.ts'
import type { Demand } from './divide-rate.ts'

/** A worker that uses an account. */
export interface RateUser {
  /** Requests a second from now on; resolves when the worker keeps to it, or is gone. */
  readonly setRate: (perSecond: number) => Promise<void>
  /** The provider asked another worker of the account for a pause of so many milliseconds. */
  readonly slowDown: (milliseconds: number) => void
}

type Call = <M extends Method>(method: M, params: Methods[M]['params'], deadlineMs: number) => Promise<Methods[M]['result']>

const tellMs = 5_000

/** A drive's worker, reached by `call`. One that cannot be told uses nothing, or is about to be replaced. */
export function rateUser(mountId: string, call: Call): RateUser {
  const nothing = () => undefined
  return {
    setRate: (requestsPerSecond) => call('rate', { mountId, requestsPerSecond }, tellMs).then(nothing, nothing),
    slowDown: (milliseconds) => void call('slowDown', { mountId, milliseconds }, tellMs).catch(nothing),
  }
}

/** A worker's part in an account's rate. */
export interface Seat {
  /** Requests a second at present. */
  readonly share: number
  /** Tells the worker its share: it was not opened with it. */
  tell(): Promise<void>
  demanded(demand: Demand): void
  /** The provider asked this worker for a pause. */
  throttled(milliseconds: number): void
  leave(): void
}

/** Changes below this part of the rate are not worth a message. */
const noticeable = 0.05

class Member implements Seat {
  readonly user: RateUser
  readonly #account: SharedRate
  share = 0
  demand: Demand = { reader: 0, other: 0 }

  constructor(account: SharedRate, user: RateUser) {
    this.#account = account
    this.user = user
  }

  tell(): Promise<void> {
    return this.user.setRate(this.share)
  }

  demanded(demand: Demand): void {
    this.demand = demand
    void this.#account.divide()
  }

  throttled(milliseconds: number): void {
    this.#account.slowDown(this, milliseconds)
  }

  leave(): void {
    this.#account.leave(this)
  }
}

/**
 * One provider account: its requests a second, divided among the workers of its mounts by what they ask for. Whoever is to get
 * less is told first, and only when it keeps to that the others get more: at no time do all together have more than the rate.
 */
class SharedRate {
  readonly #members = new Set<Member>()
  readonly #onEmpty: () => void
  #rate: number
  #pausedUntil = 0
  #dividing: Promise<void> | null = null
  #again = false

  constructor(rate: number, onEmpty: () => void) {
    this.#rate = rate
    this.#onEmpty = onEmpty
  }

  async join(rate: number, user: RateUser): Promise<Seat> {
    this.#rate = rate
    const member = new Member(this, user)
    this.#members.add(member)
    await this.divide()
    const left = this.#pausedUntil - performance.now()
    if (left > 0) user.slowDown(left)
    return member
  }

  leave(member: Member): void {
    if (!this.#members.delete(member)) return
    if (this.#members.size === 0) this.#onEmpty()
    else void this.divide()
  }

  slowDown(from: Member, milliseconds: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, performance.now() + milliseconds)
    for (const member of this.#members) if (member !== from) member.user.slowDown(milliseconds)
  }

  /** Several wishes in a row become one. */
  divide(): Promise<void> {
    if (this.#dividing !== null) {
      this.#again = true
      return this.#dividing
    }
    this.#dividing = this.#divideUntilDone().finally(() => {
      this.#dividing = null
    })
    return this.#dividing
  }

  async #divideUntilDone(): Promise<void> {
    for (let again = true; again; again = this.#again) {
      this.#again = false
      await this.#divideOnce()
    }
  }

  async #divideOnce(): Promise<void> {
    const members = [...this.#members]
    const shares = divideRate(
      this.#rate,
      members.map((member) => member.demand),
    )
    const changes = members.map((member, index) => ({ member, share: shares[index] ?? 0 }))
    if (!changes.some(({ member, share }) => member.share === 0 || Math.abs(share - member.share) > this.#rate * noticeable)) return
    await Promise.all(changes.filter(({ member, share }) => share < member.share).map(tell))
    await Promise.all(changes.filter(({ member, share }) => share > member.share).map(tell))
  }
}

interface Change {
  readonly member: Member
  readonly share: number
}

async function tell({ member, share }: Change): Promise<void> {
  const before = member.share
  member.share = share
  // A worker that has not begun yet is given its share when it opens the drive.
  if (before > 0) await member.user.setRate(share)
}

/** The rates of all accounts that are in use. */
export class AccountRates {
  readonly #accounts = new Map<string, SharedRate>()

  /** @param rate requests a second of the account, by all its workers together */
  join(providerId: string, rate: number, user: RateUser): Promise<Seat> {
    const account = this.#accounts.get(providerId) ?? new SharedRate(rate, () => this.#accounts.delete(providerId))
    this.#accounts.set(providerId, account)
    return account.join(rate, user)
  }
}
