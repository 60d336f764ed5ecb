/** Random calls on real mounts against a model in memory; then the mount, the remote and the model agree. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cloud, localCloud, minioCloud } from '../support/clouds.ts'
import { Installation } from '../support/installation.ts'
import { isProof, randomInt } from '../support/random.ts'
import { compile, Exerciser } from './exerciser.ts'

/** Seeds that once found something, and some more. */
const pinned = [1, 2, 3]
const seeds = isProof ? [...pinned, ...Array.from({ length: 9 }, () => 4 + randomInt(1e9))] : pinned
/** Of each seed. Before a bucket everything that is written is uploaded at once, which takes its time. */
const calls = { folder: isProof ? 100_000 : 1_500, bucket: isProof ? 12_000 : 1_500 }
const limit = { timeout: isProof ? 3_600_000 : 120_000 }
let scratch: string
let program: string

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'cm-exerciser-'))
  program = await compile('exerciser', scratch)
})

afterAll(() => rm(scratch, { recursive: true, force: true }))

async function exercise(cloud: Cloud, callsEach: number): Promise<void> {
  await using installation = await Installation.create()
  await installation.account('cloud', cloud.account)
  const mount = await installation.mount('drive', 'cloud', ['--option', 'writeBackSeconds=0'])
  let done = 0
  for (let at = 0; at < seeds.length; at += 3) {
    const some = await Promise.all(
      seeds.slice(at, at + 3).map((seed) => Exerciser.start(program, mount, installation.folder, seed, callsEach)),
    )
    for (const one of some) {
      const ended = await one.ended(limit.timeout).catch(async (error: unknown) => {
        throw new Error(`${String(error)}\n${await installation.logs()}`, { cause: error })
      })
      done += ended.calls
      await one.expectSame(mount)
    }
    await installation.uploaded('drive', 120_000)
    await using fresh = await Installation.create()
    await fresh.account('cloud', cloud.account)
    const remote = await fresh.mount('check', 'cloud', ['--read-only'])
    for (const one of some) await one.expectSame(remote)
  }
  expect(done).toBeGreaterThanOrEqual(seeds.length * callsEach)
  process.stdout.write(`exerciser on ${cloud.name}: ${done} calls, seeds ${seeds.join(' ')}; model, mount and remote agree\n`)
}

describe('random calls', () => {
  test('on a mount of a folder', limit, async () => {
    await using cloud = await localCloud()
    await exercise(cloud, calls.folder)
  })

  test('on a mount of a MinIO bucket', limit, async ({ skip }) => {
    const cloud = await minioCloud()
    if ('missing' in cloud) return skip(cloud.missing)
    await using server = cloud
    await exercise(server, calls.bucket)
  })
})
