/** One provider behind the chaos proxy, a drive on it, and another client that knows the truth. */
import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { Connector } from '../../src-service/drive/connectors/connector.ts'
import { openConnector } from '../../src-service/drive/connectors/registry.ts'
import { at, listAll, put, readAll, signal } from '../conformance/candidate.ts'
import { BareDrive } from '../support/bare-drive.ts'
import { startChaosProxy } from '../support/chaos-proxy.ts'
import type { ChaosProxy, Fate, Seen } from '../support/chaos-proxy.ts'
import type { HttpProvider, HttpServer, Purpose } from './http-providers.ts'

/** A fate for the next request of a purpose. */
export type Strike = readonly [Purpose, Fate]

/** Short, so that a test need not wait; a mount has 15, 60 and 60 seconds. */
const deadlines = { metadataMs: 1000, readMs: 1000, writeMs: 500 }
const requestsPerSecond = 60
const pass: Fate = { kind: 'pass' }

export class FaultGround implements AsyncDisposable {
  readonly provider: HttpProvider
  readonly proxy: ChaosProxy
  readonly drive: BareDrive
  readonly secrets: Readonly<Record<string, string>>
  /** Straight to the server. */
  readonly #truth: Connector
  readonly #expected = new Map<string, Map<string, Buffer>>()
  readonly #all: AsyncDisposableStack
  readonly #times: number[] = []

  private constructor(parts: {
    readonly provider: HttpProvider
    readonly proxy: ChaosProxy
    readonly drive: BareDrive
    readonly truth: Connector
    readonly secrets: Readonly<Record<string, string>>
    readonly expected: Map<string, Map<string, Buffer>>
    readonly all: AsyncDisposableStack
  }) {
    this.provider = parts.provider
    this.proxy = parts.proxy
    this.drive = parts.drive
    this.secrets = parts.secrets
    this.#truth = parts.truth
    this.#expected = parts.expected
    this.#all = parts.all
    this.calm()
  }

  /** @param folders each with files `a` (200 KB), `b` and `c`, there before the drive */
  static async open(provider: HttpProvider, server: HttpServer, root: string, folders: readonly string[]): Promise<FaultGround> {
    await using stack = new AsyncDisposableStack()
    const proxy = await startChaosProxy(server.endpoint)
    stack.defer(() => proxy.close())
    const context = (endpoint: string) => {
      const { type, options, secrets } = server.account(endpoint)
      return { type, options, secrets, remoteRoot: root }
    }
    const { type, options, secrets } = context(server.endpoint)
    const log = () => undefined
    const settings = { options, secret: (name: string) => secrets[name] }
    // The root itself is made by a client that stands above it.
    const above = openConnector(type, { settings, remoteRoot: '', log })
    await above.makeFolder(at(root), {}, signal).catch(() => undefined)
    await above.close()
    const truth = openConnector(type, { settings, remoteRoot: root, log })
    stack.defer(() => truth.close())
    const expected = new Map<string, Map<string, Buffer>>()
    for (const folder of folders) {
      const files = new Map([
        ['a', randomBytes(200_000)],
        ['b', randomBytes(1000)],
        ['c', randomBytes(2000)],
      ])
      expected.set(folder, files)
      await truth.makeFolder(at(folder), {}, signal)
      for (const [name, contents] of files) await put(truth, at(folder, name), contents)
    }
    const behind = context(proxy.endpoint)
    const drive = stack.use(
      await BareDrive.open({
        connector: { type: behind.type, options: { ...behind.options, requestsPerSecond }, remoteRoot: root },
        ...{ secrets, deadlines, requestsPerSecond },
      }),
    )
    await drive.names('')
    return new FaultGround({ provider, proxy, drive, truth, secrets, expected, all: stack.move() })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#all.disposeAsync()
  }

  expected(folder: string): Map<string, Buffer> {
    const files = this.#expected.get(folder)
    if (files === undefined) throw new Error(`no ${folder}`)
    return files
  }

  /** Every request meets this fate, or passes. */
  decide(fate: (purpose: Purpose, seen: Seen) => Fate): void {
    this.proxy.decide = (seen) => {
      this.#times.push(performance.now())
      return fate(this.provider.purposeOf(seen), seen)
    }
  }

  calm(): void {
    this.decide(() => pass)
  }

  /** The next requests of these purposes meet these fates, one each. */
  strike(strikes: readonly Strike[]): void {
    const left = [...strikes]
    this.decide((purpose) => {
      const index = left.findIndex(([wanted]) => wanted === purpose)
      return index < 0 ? pass : (left.splice(index, 1)[0]?.[1] ?? pass)
    })
  }

  /** From the next request on everything meets this fate, for so long. */
  storm(fate: Fate, milliseconds: number): void {
    let end = 0
    this.decide(() => {
      if (end === 0) end = performance.now() + milliseconds
      return performance.now() < end ? fate : pass
    })
  }

  /** What the drive shows of a folder; an error is asked again, a wrong answer is none. */
  async expectShown(folder: string): Promise<void> {
    const names = await eventually(() => this.drive.names(folder))
    expect(names).toEqual([...this.expected(folder).keys()].sort())
  }

  async expectContents(folder: string, name: string): Promise<void> {
    const contents = await eventually(() => this.drive.read(`${folder}/${name}`))
    expect(sum(contents)).toBe(sum(this.expected(folder).get(name) ?? Buffer.alloc(0)))
  }

  async write(folder: string, name: string, size: number): Promise<void> {
    const contents = randomBytes(size)
    this.expected(folder).set(name, contents)
    await eventually(() => this.drive.write(`${folder}/${name}`, contents))
  }

  async rename(folder: string, from: string, to: string): Promise<void> {
    const files = this.expected(folder)
    files.set(to, files.get(from) ?? Buffer.alloc(0))
    files.delete(from)
    await eventually(() => this.drive.rename(`${folder}/${from}`, `${folder}/${to}`))
  }

  async remove(folder: string, name: string): Promise<void> {
    this.expected(folder).delete(name)
    await eventually(() => this.drive.remove(`${folder}/${name}`))
  }

  /** Everything is at the provider, once and as it was written, and the drive shows the same. */
  async expectTrue(folder: string): Promise<void> {
    await this.drive.uploaded(30_000)
    const files = this.expected(folder)
    const entries = await listAll(this.#truth, at(folder))
    expect(entries.map(({ name }) => name.toString()).sort()).toEqual([...files.keys()].sort())
    for (const entry of entries) {
      const name = entry.name.toString()
      const there = await readAll(this.#truth, at(folder, name), 0, entry.size, entry.rev)
      expect(`${name} ${sum(there)}`).toBe(`${name} ${sum(files.get(name) ?? Buffer.alloc(0))}`)
    }
    await this.expectShown(folder)
  }

  /** The most requests within any second: a bucket's fill, a second's rate, and what calls send beyond their turns. */
  expectBudget(): void {
    const busiest = Math.max(...this.#times.map((begin, index) => countWithin(this.#times, index, begin + 1000)))
    expect(busiest).toBeLessThanOrEqual(2 * requestsPerSecond + 16)
  }
}

function countWithin(times: readonly number[], from: number, end: number): number {
  let index = from
  while ((times[index] ?? Infinity) < end) index++
  return index - from
}

/** A program that gets an error tries again. */
async function eventually<T>(work: () => Promise<T>): Promise<T> {
  const end = performance.now() + 30_000
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (performance.now() > end) throw error
      await sleep(50)
    }
  }
}

function sum(contents: Buffer): string {
  return createHash('sha256').update(contents).digest('hex')
}
