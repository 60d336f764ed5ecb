/** Tells one listener of changes, at most once in `intervalMs`. */
export class Throttled {
  readonly #intervalMs: number
  #listener: () => void = () => undefined
  #timer: NodeJS.Timeout | null = null
  #again = false

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs
  }

  listen(listener: () => void): void {
    this.#listener = listener
  }

  happened(): void {
    if (this.#timer !== null) {
      this.#again = true
      return
    }
    this.#listener()
    this.#timer = setTimeout(() => {
      this.#timer = null
      if (!this.#again) return
      this.#again = false
      this.happened()
    }, this.#intervalMs)
    this.#timer.unref()
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#listener = () => undefined
  }
}
