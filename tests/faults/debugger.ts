/** Stops a process at a function of the addon, and ends it there: gdb does what the product has no hook for. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { signal, run } from '../support/installation.ts'

/** Null, or the reason why processes cannot be stopped here. */
export async function whyNoDebugger(): Promise<string | null> {
  const { code } = await run('/bin/sh', ['-c', 'command -v gdb']).catch(() => ({ code: 1 }))
  return code === 0 ? null : 'gdb is missing: apt-get install gdb'
}

export interface StopPoint {
  /** Function of the addon. */
  readonly at: string
  /** C expression in that function's names. */
  readonly when?: string
  /** Function that the same thread comes to next; it stops there then. */
  readonly then?: string
}

const quiet = [
  '-nx',
  '-q',
  '-iex',
  'set debuginfod enabled off',
  '-iex',
  'set confirm off',
  '-iex',
  'set pagination off',
  '-iex',
  'set width 0',
  '-ex',
  'handle all nostop noprint pass',
]
const noLibraries = ['-iex', 'set auto-solib-add off']
const prompt = '(gdb) '

export class Debugger implements AsyncDisposable {
  readonly #gdb: ChildProcessWithoutNullStreams
  readonly #exit: Promise<unknown>
  readonly #then: string | undefined
  #output = ''
  /** What to do when more output is there. */
  #wake: () => void = () => undefined
  #pid: number

  private constructor(pid: number, args: readonly string[], point: StopPoint, env: NodeJS.ProcessEnv = process.env) {
    this.#pid = pid
    this.#then = point.then
    this.#gdb = spawn('gdb', [...quiet, ...args], { cwd: '/', stdio: 'pipe', env })
    this.#exit = once(this.#gdb, 'exit')
    const take = (chunk: Buffer) => {
      this.#output += chunk.toString()
      this.#wake()
    }
    this.#gdb.stdout.on('data', take)
    this.#gdb.stderr.on('data', take)
    this.#gdb.stdin.on('error', () => undefined)
  }

  /** Lets a running process go on until it comes to the point. It stands still while gdb looks at it, for a second perhaps. */
  static async attach(pid: number, point: StopPoint): Promise<Debugger> {
    const made = new Debugger(pid, [...noLibraries, '-p', String(pid)], point)
    try {
      await made.#told(20_000)
      await made.#do('sharedlibrary cloudmoor')
      await made.#breakAt(point)
      made.#go('continue')
    } catch (caught) {
      await made[Symbol.asyncDispose]()
      throw caught
    }
    return made
  }

  /** Starts a program that comes to the point. */
  static async start(command: readonly string[], env: NodeJS.ProcessEnv, point: StopPoint): Promise<Debugger> {
    const made = new Debugger(0, ['--args', '/bin/sh', '-c', 'exec "$0" "$@" < /dev/null > /dev/null 2>&1', ...command], point, env)
    try {
      await made.#told(20_000)
      await made.#do('set breakpoint pending on')
      await made.#breakAt(point)
      made.#go('run')
    } catch (caught) {
      await made[Symbol.asyncDispose]()
      throw caught
    }
    return made
  }

  get pid(): number {
    return this.#pid
  }

  /** Resolves when the process stands at the point. Throws if it has not come there within the time, or ended. */
  async reached(timeoutMs: number): Promise<void> {
    await this.#hit(timeoutMs)
    if (this.#then !== undefined) {
      await this.#do(`tbreak ${this.#then}`)
      this.#go('continue')
      await this.#hit(timeoutMs)
    }
    if (this.#pid === 0) this.#pid = Number(/process (\d+)/.exec(await this.#do('info inferiors'))?.[1] ?? 0)
  }

  /** Value of a C expression where the process stands. */
  async value(expression: string): Promise<string> {
    return /= (.*)/.exec(await this.#do(`print ${expression}`))?.[1] ?? ''
  }

  /** SIGKILL to the process that stands at the point: it does nothing more. */
  async kill(): Promise<void> {
    await this.#do('kill')
    await this.#end()
  }

  /** Lets the process run on by itself. */
  async letGo(): Promise<void> {
    await this.#do('delete')
    await this.#do('detach')
    await this.#end()
  }

  /** Ends the process too, if it is still held: one that is let go of with a breakpoint in it is lost anyhow. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#gdb.exitCode !== null || this.#gdb.signalCode !== null) return
    if (this.#pid > 0) signal(this.#pid, 'SIGKILL')
    this.#gdb.kill('SIGKILL')
    await this.#exit
  }

  async #hit(timeoutMs: number): Promise<void> {
    const said = await this.#told(timeoutMs)
    if (!/breakpoint \d+(\.\d+)?, /i.test(said)) throw new Error(`the process ended before it came to the point: ${said}`)
  }

  async #end(): Promise<void> {
    this.#go('quit')
    await this.#exit
  }

  async #breakAt({ at, when }: StopPoint): Promise<void> {
    const said = await this.#do(`break ${at}${when === undefined ? '' : ` if ${when}`}`)
    if (!/^Breakpoint 1/m.test(said)) throw new Error(`gdb sets no breakpoint: ${said}`)
  }

  #do(command: string): Promise<string> {
    this.#go(command)
    return this.#told(20_000)
  }

  #go(command: string): void {
    this.#output = ''
    this.#gdb.stdin.write(`${command}\n`)
  }

  /** What gdb said up to its prompt. */
  async #told(timeoutMs: number): Promise<string> {
    const end = performance.now() + timeoutMs
    while (!this.#output.endsWith(prompt)) {
      if (this.#gdb.exitCode !== null || performance.now() > end) throw new Error(`gdb does not answer: ${this.#output}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    return this.#output.slice(0, -prompt.length)
  }
}
