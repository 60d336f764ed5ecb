/** For a process that kills itself at a step that persists something. */
export class KillingSteps {
  readonly #at: number
  #count = 0

  /** @param at the step that is the last one, from 1 on */
  constructor(at: number) {
    this.#at = at
  }

  /** A step was, or is about to be, persisted. */
  readonly step = (): void => {
    if (++this.#count === this.#at) process.kill(process.pid, 'SIGKILL')
  }

  /** Steps before and after each call. */
  around<This, Args extends unknown[], Result>(call: (this: This, ...args: Args) => Promise<Result>) {
    const { step } = this
    return async function (this: This, ...args: Args): Promise<Result> {
      step()
      const result = await call.apply(this, args)
      step()
      return result
    }
  }
}
