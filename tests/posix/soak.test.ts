/** Half an hour of work: memory and open files stay flat, and every request is answered. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { connectionOf, waiting, whyNoConnectionList } from '../faults/kernel.ts'
import { localCloud } from '../support/clouds.ts'
import { Installation, shell } from '../support/installation.ts'
import { isProof, randomInt } from '../support/random.ts'
import { compile, Exerciser } from './exerciser.ts'

/** `SOAK_MINUTES` takes another time. */
const minutes = Number(process.env['SOAK_MINUTES'] ?? (isProof ? 30 : 0))
const samples = 60

interface Sample {
  /** KiB */
  readonly memory: number
  readonly files: number
}

async function sample(pid: number): Promise<Sample> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8')
  const memory = Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1])
  return { memory, files: (await readdir(`/proc/${pid}/fd`)).length }
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0

/** After a time to warm up, the end is no more than a little above the middle. */
function expectFlat(name: string, all: readonly Sample[]): void {
  const [middle, end] = [all.slice(samples / 3, (samples * 2) / 3), all.slice((samples * 2) / 3)]
  const memory = [middle, end].map((part) => median(part.map((one) => one.memory)))
  const files = [middle, end].map((part) => median(part.map((one) => one.files)))
  process.stdout.write(`soak, ${name}: ${memory.join(' then ')} KiB, ${files.join(' then ')} open files\n`)
  expect(memory[1], `${name}: memory`).toBeLessThan((memory[0] ?? 0) * 1.25 + 16 * 1024)
  expect(files[1], `${name}: open files`).toBeLessThan((files[0] ?? 0) + 32)
}

test('memory and open files are flat, no request stays unanswered', { timeout: (minutes + 10) * 60_000 }, async ({ skip }) => {
  if (minutes === 0) return skip('takes half an hour: scripts/test --proof')
  const reason = await whyNoConnectionList()
  if (reason !== null) return skip(reason)
  await using cloud = await localCloud()
  await using installation = await Installation.create()
  await installation.account('cloud', cloud.account)
  const mount = await installation.mount('drive', 'cloud', ['--cache-size', '64M'])
  const program = await compile('exerciser', installation.folder)
  const seeds = [randomInt(1e9), randomInt(1e9)]
  const running = await Promise.all(seeds.map((seed) => Exerciser.start(program, mount, installation.folder, seed, 0)))
  const pids = { worker: (await installation.mountStatus('drive')).pid, service: (await installation.status()).service?.pid ?? 0 }
  const seen: { readonly worker: Sample[]; readonly service: Sample[] } = { worker: [], service: [] }
  for (let at = 0; at < samples; at++) {
    await sleep((minutes * 60_000) / samples)
    seen.worker.push(await sample(pids.worker))
    seen.service.push(await sample(pids.service))
  }
  const done = await Promise.all(running.map((one) => one.stop(120_000)))
  const connection = await connectionOf(mount)
  await expect.poll(() => waiting(connection), { timeout: 20_000 }).toBe(0)
  expect((await installation.mountStatus('drive')).pid).toBe(pids.worker)
  for (const one of running) await one.expectSame(mount)
  await installation.uploaded('drive', 120_000)
  for (const one of running) await one.expectSame(cloud.folder ?? '')
  expectFlat('worker', seen.worker)
  expectFlat('service', seen.service)
  const calls = done.reduce((sum, one) => sum + one.calls, 0)
  const log = await shell(`grep -c '"level":"error"' "${join(installation.home, 'logs', 'service.log')}" || true`)
  expect(Number(log)).toBe(0)
  process.stdout.write(
    `soak: ${minutes} minutes, ${calls} calls, worst ${Math.max(...done.map(({ worstMs }) => worstMs))} ms, 0 unanswered\n`,
  )
})
