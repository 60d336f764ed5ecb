import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { seed } from '../support/random.ts'
import { type Expectation, expectationOf, type ManifestLine, readManifest } from './manifest.ts'

/** What the loads of a test went through. */
export interface LoadReport {
  readonly steps: number
  readonly calls: number
  /** The longest call on the mount. */
  readonly worstMs: number
}

/** How long a call may take at most: the kernel's longest wait on us is the deadline of a READ. */
const patienceMs = 90_000

/** Each load does something else. */
let started = 0

/** One load.ts at work in a folder of its own. */
export class RunningLoad implements AsyncDisposable {
  /** Name of its folder on the mount. */
  readonly name: string
  readonly #manifest: string
  readonly #child: ChildProcess
  readonly #exit: Promise<unknown>

  /** @param mount where it works @param scratch folder outside of the mount, for its manifest @param contents where all versions are kept */
  constructor(mount: string, scratch: string, name: string, contents = '') {
    this.name = name
    this.#manifest = join(scratch, `manifest-${name}`)
    const program = join(import.meta.dirname, 'load.ts')
    const env = { ...process.env, RANDOM_SEED: String(seed + started++) }
    this.#child = spawn(process.execPath, [program, join(mount, name), this.#manifest, contents], { cwd: '/', env, stdio: 'inherit' })
    this.#exit = once(this.#child, 'exit')
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Resolves when the load has done so much on the mount. Throws when it ends instead. */
  async atWork(steps = 3): Promise<void> {
    const begun = await this.#steps()
    const end = performance.now() + patienceMs
    while ((await this.#steps()) < begun + steps) {
      if (this.#child.exitCode !== null) throw new Error(`the load ended: ${JSON.stringify(await this.errors())}`)
      if (performance.now() > end) throw new Error(`the load hangs since ${patienceMs} ms`)
      await sleep(10)
    }
  }

  /** Lets it end with the step that it is at. Throws if it does not. */
  async stop(): Promise<LoadReport> {
    await writeFile(`${this.#manifest}.stop`, '')
    const timeout = new AbortController()
    const over = await Promise.race([this.#exit, sleep(patienceMs, 'hangs' as const, { signal: timeout.signal })])
    timeout.abort()
    if (over === 'hangs') throw new Error(`a call of the load ${this.name} hangs since ${patienceMs} ms`)
    const last = (await this.lines()).findLast(({ kind }) => kind === 'step' || kind === 'end')
    return { steps: last?.steps ?? 0, calls: last?.calls ?? 0, worstMs: last?.worstMs ?? 0 }
  }

  lines(): Promise<ManifestLine[]> {
    return readManifest(this.#manifest)
  }

  async errors(): Promise<readonly ManifestLine[]> {
    return (await this.lines()).filter(({ kind }) => kind === 'error')
  }

  async expectation(): Promise<Expectation> {
    return expectationOf(await this.lines())
  }

  /** Ends it wherever it is. */
  async kill(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL')
    // One that hangs in the kernel ends when the connection does.
    await Promise.race([this.#exit, sleep(1000, undefined, { ref: false })])
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill()
  }

  async #steps(): Promise<number> {
    const text = await readFile(this.#manifest, 'utf8').catch(() => '')
    return text.split('"kind":"step"').length - 1
  }
}

/** Sums up what several loads went through. */
export function together(reports: readonly LoadReport[]): LoadReport {
  return {
    steps: reports.reduce((all, { steps }) => all + steps, 0),
    calls: reports.reduce((all, { calls }) => all + calls, 0),
    worstMs: Math.max(0, ...reports.map(({ worstMs }) => worstMs)),
  }
}
