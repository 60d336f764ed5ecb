import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { shell } from '../support/installation.ts'

/** What the last line of exerciser.c tells. */
export interface Exercised {
  readonly calls: number
  /** Calls that failed because the cloud was away or the cache full. */
  readonly refused: number
  readonly worstMs: number
}

/** Builds a program of this folder; gives its path. */
export async function compile(name: 'driver' | 'exerciser', folder: string): Promise<string> {
  const program = join(folder, name)
  await shell(`cc -O1 -Wall -Werror -o "${program}" "${join(import.meta.dirname, `${name}.c`)}"`)
  return program
}

/** exerciser.c at work in a folder of its own on a mount. */
export class Exerciser {
  readonly name: string
  /** The model's files, once it has ended. */
  readonly model: string
  readonly #stop: string
  readonly #done: Promise<Exercised>
  readonly #kill: () => void
  /** It ended because model and mount differ: nothing is to be learned from going on. */
  hasFailed = false

  private constructor(name: string, model: string, stop: string, done: Promise<Exercised>, kill: () => void) {
    this.name = name
    this.model = model
    this.#stop = stop
    this.#done = done
    this.#kill = kill
    done.catch(() => (this.hasFailed = true))
  }

  /** @param calls 0: until `stop` is called, and what the cloud or the cache refuse has not happened */
  static async start(program: string, mount: string, scratch: string, seed: number, calls: number): Promise<Exerciser> {
    const name = `seed-${seed}`
    const model = join(scratch, 'model', name)
    const stop = join(scratch, `${name}.stop`)
    await mkdir(join(mount, name))
    await mkdir(model, { recursive: true })
    const words = [join(mount, name), String(seed), String(calls), model, calls === 0 ? 'patient' : 'strict', stop]
    const child = spawn(program, words, { cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    let said = ''
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
    const done = once(child, 'close').then(([code]) => {
      if (code !== 0) throw new Error(`seed ${seed}: the exerciser ended with ${String(code)}\n${said}`)
      return JSON.parse(out) as Exercised
    })
    return new Exerciser(name, model, stop, done, () => child.kill('SIGKILL'))
  }

  /** Resolves when it has done all its calls. Throws where model and mount differ. */
  async ended(timeoutMs: number): Promise<Exercised> {
    const timer = setTimeout(this.#kill, timeoutMs)
    try {
      return await this.#done
    } finally {
      clearTimeout(timer)
    }
  }

  async stop(timeoutMs: number): Promise<Exercised> {
    await writeFile(this.#stop, '')
    return this.ended(timeoutMs)
  }

  /** Throws unless a folder above has exactly what the model has. Folders that are empty need not be there. */
  async expectSame(above: string): Promise<void> {
    const list = (folder: string): string => `(cd "${folder}" && find . -type f -print0 | sort -z | xargs -0 -r sha256sum)`
    await shell(`diff <${list(this.model)} <${list(join(above, this.name))}`)
  }
}
