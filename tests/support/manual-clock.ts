import type { Clock } from '../../src-service/common/clock.ts'

/** Time that passes only when a test says so. */
export class ManualClock implements Clock {
  #now = Date.now()
  #set = 0
  #tasks: { at: number; work: () => void }[] = []

  now(): number {
    return this.#now + this.#set
  }

  monotonic(): number {
    return this.#now
  }

  after(milliseconds: number, work: () => void): () => void {
    const task = { at: this.#now + milliseconds, work }
    this.#tasks.push(task)
    return () => {
      this.#tasks = this.#tasks.filter((one) => one !== task)
    }
  }

  /** Somebody sets the clock of the machine by so much, forth or (negative) back; no time passes. */
  jump(milliseconds: number): void {
    this.#set += milliseconds
  }

  /** Lets so much time pass; what it starts gets some turns of the event loop. */
  async advance(milliseconds: number): Promise<void> {
    await turns(20)
    const until = this.#now + milliseconds
    for (;;) {
      const [next] = this.#tasks.filter((task) => task.at <= until).sort((a, b) => a.at - b.at)
      if (next === undefined) break
      this.#tasks = this.#tasks.filter((task) => task !== next)
      this.#now = Math.max(this.#now, next.at)
      next.work()
      await turns(20)
    }
    this.#now = until
    await turns(20)
  }
}

/** Lets what is ready run. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}
