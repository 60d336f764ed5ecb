/** Many clients at once: each watches what happens and asks, at a rate that does not wait for the answers. */
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { grpcClient, restClient } from './clients.ts'
import type { ApiClient, Target } from './clients.ts'

export interface Load {
  readonly clients: number
  /** Watch streams in all. */
  readonly streams: number
  /** Calls a second in all; one of fifty is a change, of which every stream hears. */
  readonly perSecond: number
  readonly seconds: number
}

/** What the issue of the control plane asks for. */
export const fullLoad: Load = { clients: 50, streams: 200, perSecond: 300, seconds: 60 }

export interface LoadResult {
  readonly calls: number
  /** Milliseconds from the moment at which a call was due, sorted. */
  readonly waits: readonly number[]
  /** What failed, calls and streams, by message. */
  readonly errors: Readonly<Record<string, number>>
  /** Streams that had begun, and that heard of the last change. */
  readonly begun: number
  readonly upToDate: number
  /** Streams that were too slow and began anew. */
  readonly resets: number
  /** What all streams heard of changes. */
  readonly heard: number
  readonly changes: number
  /** Resident memory of the service, MB, once a second. */
  readonly memory: readonly number[]
}

const changeEvery = 50

/** @param pid of the service */
export async function putUnderLoad(target: Target, pid: number, load: Load): Promise<LoadResult> {
  const clients = Array.from({ length: load.clients }, (_, index) => (index % 2 === 0 ? grpcClient(target) : restClient(target)))
  const errors: Record<string, number> = {}
  const failed = (caught: unknown) => {
    const message = caught instanceof Error ? caught.message : String(caught)
    errors[message] = (errors[message] ?? 0) + 1
  }
  const ending = new AbortController()
  const streams = openStreams(clients, load.streams, ending.signal, failed)
  await until(() => streams.every(({ begun }) => begun))
  const memory: number[] = []
  const look = setInterval(() => void memoryOf(pid).then((megabytes) => memory.push(megabytes)), 1000)
  const { calls, changes, waits } = await ask(clients, load, failed)
  clearInterval(look)
  await clients[0]?.relabel('last').catch(failed)
  await until(() => streams.every(({ label }) => label === 'last'))
  ending.abort()
  for (const client of clients) client.close()
  return {
    ...{ calls, changes, errors, memory },
    waits: waits.sort((one, other) => one - other),
    begun: streams.filter(({ begun }) => begun).length,
    upToDate: streams.filter(({ label }) => label === 'last').length,
    resets: streams.reduce((sum, { resets }) => sum + resets, 0),
    heard: streams.reduce((sum, { heard }) => sum + heard, 0),
  }
}

/** @param share 0.99 for the 99th of a hundred */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

/** By how much the memory of the last half minute grew: between the medians of its first and of its last third. */
export function growthOf(memory: readonly number[]): number {
  const last = memory.slice(-30)
  const third = Math.floor(last.length / 3)
  const median = (some: readonly number[]) => some.toSorted((one, other) => one - other)[Math.floor(some.length / 2)] ?? 0
  return median(last.slice(-third)) - median(last.slice(0, third))
}

interface Stream {
  begun: boolean
  resets: number
  heard: number
  label: string
}

function openStreams(clients: readonly ApiClient[], count: number, signal: AbortSignal, failed: (caught: unknown) => void): Stream[] {
  return Array.from({ length: count }, (_, index) => {
    const stream: Stream = { begun: false, resets: 0, heard: 0, label: '' }
    clients[index % clients.length]
      ?.watch(signal, (seen) => {
        if (seen.kind === 'snapshot') {
          stream.begun = true
          if (seen.reset) stream.resets++
        } else {
          stream.heard++
          stream.label = seen.labels[0] ?? ''
        }
      })
      .catch(failed)
    return stream
  })
}

/** Each call is made when it is due, whether those before are answered or not. */
async function ask(clients: readonly ApiClient[], { perSecond, seconds }: Load, failed: (caught: unknown) => void) {
  const waits: number[] = []
  const pending = new Set<Promise<void>>()
  const begun = performance.now()
  const total = perSecond * seconds
  let changes = 0
  for (let made = 0; made < total; ) {
    const due = Math.min(total, Math.floor(((performance.now() - begun) / 1000) * perSecond))
    for (; made < due; made++) {
      const client = clients[made % clients.length]
      if (client === undefined) throw new Error('no clients')
      const isChange = (made + Math.floor(made / changeEvery)) % changeEvery === 0
      if (isChange) changes++
      const dueAt = begun + (made / perSecond) * 1000
      const read = client.reads[Math.floor(made / clients.length) % client.reads.length]
      const call = (isChange ? client.relabel(`change-${made}`) : (read?.() ?? Promise.resolve()))
        .then(() => void waits.push(performance.now() - dueAt), failed)
        .finally(() => pending.delete(call))
      pending.add(call)
    }
    await sleep(2)
  }
  await Promise.all(pending)
  return { calls: total, changes, waits }
}

async function until(isSo: () => boolean): Promise<void> {
  for (const end = performance.now() + 15_000; !isSo() && performance.now() < end; ) await sleep(20)
}

async function memoryOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return (Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024) / 1e6
}
