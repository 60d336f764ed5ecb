/** What one opcode has cost since the start. */
export interface OperationCount {
  readonly name: string
  readonly requests: number
  /** Answered with an errno. */
  readonly errors: number
  /** Sum over the requests of the time from dispatch to answer, milliseconds. */
  readonly milliseconds: number
}

const slots = 64

/** Counts by opcode; all opcodes beyond the known range share one place. */
export class OperationCounters {
  readonly #requests = new Float64Array(slots)
  readonly #errors = new Float64Array(slots)
  readonly #milliseconds = new Float64Array(slots)

  count(opcode: number, failed: boolean, milliseconds: number): void {
    const at = opcode < slots ? opcode : 0
    this.#requests[at] = (this.#requests[at] ?? 0) + 1
    this.#milliseconds[at] = (this.#milliseconds[at] ?? 0) + milliseconds
    if (failed) this.#errors[at] = (this.#errors[at] ?? 0) + 1
  }

  /** Counts of every opcode that came at least once. */
  list(nameOf: (opcode: number) => string): OperationCount[] {
    const counts: OperationCount[] = []
    for (let opcode = 0; opcode < slots; opcode++) {
      const requests = this.#requests[opcode] ?? 0
      if (requests === 0) continue
      counts.push({
        name: nameOf(opcode),
        requests,
        errors: this.#errors[opcode] ?? 0,
        milliseconds: this.#milliseconds[opcode] ?? 0,
      })
    }
    return counts
  }
}
