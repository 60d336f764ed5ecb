/** What becomes of files while the way to the provider, or the provider itself, is at fault: nothing lost, doubled or shown wrong. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Fate } from '../support/chaos-proxy.ts'
import { FaultGround } from './fault-ground.ts'
import type { Strike } from './fault-ground.ts'
import { httpProviders } from './http-providers.ts'
import type { HttpProvider, HttpServer } from './http-providers.ts'

const proof = process.env['CLOUDMOOR_PROOF'] === '1'
const rounds = proof ? 100 : 3
const mebi = 2 ** 20
const html = '<html><body>Sign in to the hotel network</body></html>'

/** What is at fault in a round; strikes are used up, a storm lasts. */
type Fault = { readonly strikes: readonly Strike[] } | { readonly storm: Fate; readonly milliseconds: number }

const garbage: Fate = { kind: 'answer', status: 200, headers: { 'content-type': 'text/html' }, body: html }

const halfOpen: readonly Strike[] = [
  ['read', { kind: 'stall', after: 50_000 }],
  ['list', { kind: 'stall', after: 0 }],
  ['put', { kind: 'stall', after: 0 }],
]

/** Faults of the way and of the server that any request may meet, by round. */
const faults: readonly { readonly name: string; readonly of: (provider: HttpProvider, round: number) => Fault | null }[] = [
  {
    name: 'answers cut in their middle',
    of: () => ({
      strikes: [
        ['list', { kind: 'cut', after: 100 }],
        ['read', { kind: 'cut', after: 50_000 }],
        ['read', { kind: 'cut', after: 1 }],
      ],
    }),
  },
  {
    name: 'uploads cut in their middle',
    of: () => ({
      strikes: [
        ['put', { kind: 'cut-upload', after: 1000 }],
        ['put', { kind: 'reset' }],
      ],
    }),
  },
  {
    name: 'half-open connections',
    of: (_, round) => ({ strikes: [halfOpen[round % halfOpen.length] ?? ['list', { kind: 'stall', after: 0 }]] }),
  },
  {
    name: 'a crawl',
    of: () => ({
      strikes: [
        ['read', { kind: 'crawl', bytesPerSecond: 250_000 }],
        ['list', { kind: 'crawl', bytesPerSecond: 4000 }],
      ],
    }),
  },
  {
    name: 'a storm of 503 with Retry-After',
    of: ({ refusals }) => ({ storm: { ...refusals.busy, headers: { 'retry-after': '1' } }, milliseconds: 600 }),
  },
  { name: 'a storm of 503 without Retry-After', of: ({ refusals }) => ({ storm: refusals.busy, milliseconds: 600 }) },
  {
    name: 'truncated listings and contents',
    of: (_, round) => ({
      strikes: [
        ['list', { kind: 'truncate', part: 0.3 + 0.2 * (round % 3) }],
        ['read', { kind: 'truncate', part: 0.5 }],
      ],
    }),
  },
  {
    name: 'lost replies of uploads and copies',
    of: () => ({
      strikes: [
        ['put', { kind: 'lose-answer' }],
        ['copy', { kind: 'lose-answer' }],
      ],
    }),
  },
  { name: 'clocks that differ', of: ({ refusals }) => (refusals.skewed === null ? null : { storm: refusals.skewed, milliseconds: 400 }) },
  {
    name: 'garbage',
    of: () => ({
      strikes: [
        ['list', garbage],
        ['read', garbage],
        ['put', garbage],
      ],
    }),
  },
]

function begin(ground: FaultGround, fault: Fault | null): void {
  if (fault === null) throw new Error('not a fault of this provider')
  if ('strikes' in fault) ground.strike(fault.strikes)
  else ground.storm(fault.storm, fault.milliseconds)
}

describe.each(httpProviders.map((provider) => [provider.name, provider] as const))('%s', (_name, provider) => {
  if (provider.missing !== null) {
    test('faults', ({ skip }) => skip(provider.missing ?? ''))
    return
  }
  let server: HttpServer
  beforeAll(async () => {
    server = await provider.start()
  })
  afterAll(() => server[Symbol.asyncDispose]())
  afterEach(() => {
    vi.restoreAllMocks()
  })

  /** Each round has a folder of its own and must be struck. */
  async function repeat(name: string, round: (ground: FaultGround, folder: string, index: number) => Promise<void>): Promise<void> {
    const folders = Array.from({ length: rounds }, (_, index) => `round-${index}`)
    await using ground = await FaultGround.open(provider, server, name.replaceAll(' ', '-'), folders)
    for (const [index, folder] of folders.entries()) {
      const before = ground.proxy.struck
      await round(ground, folder, index)
      expect(ground.proxy.struck).toBeGreaterThan(before)
      ground.calm()
      await ground.expectTrue(folder)
    }
    ground.expectBudget()
  }

  const timeout = proof ? 30 * 60_000 : 60_000

  test.each(faults.filter(({ of }) => of(provider, 0) !== null))('$name', { timeout }, async ({ name, of }) => {
    await repeat(name, async (ground, folder, index) => {
      begin(ground, of(provider, index))
      await ground.expectShown(folder)
      await ground.expectContents(folder, 'a')
      await ground.write(folder, 'new', 100_000)
      await ground.write(folder, 'b', 5000)
      await ground.rename(folder, 'c', 'd')
      await ground.expectShown(folder)
      await ground.drive.uploaded(30_000)
    })
  })

  test('a listing from before our changes', { timeout }, async () => {
    let ahead = false
    const now = Date.now.bind(Date)
    vi.spyOn(Date, 'now').mockImplementation(() => now() + (ahead ? 20_000 : 0))
    await repeat('stale', async (ground, folder) => {
      ground.proxy.kept.clear()
      ground.proxy.keep = (seen) => provider.purposeOf(seen) === 'list'
      await ground.expectShown(folder)
      await ground.write(folder, 'new', 1000)
      await ground.write(folder, 'b', 5000)
      await ground.remove(folder, 'c')
      await ground.drive.uploaded(30_000)
      const struck = ground.proxy.struck
      ground.decide((purpose, { url }) => ({
        kind: purpose === 'list' && url.includes(folder) && ground.proxy.struck === struck ? 'replay' : 'pass',
      }))
      // Looked at long after the last listing: another one is made behind.
      ahead = !ahead
      await ground.expectShown(folder)
      await expect.poll(() => ground.proxy.struck, { timeout: 5000 }).toBeGreaterThan(struck)
      for (let look = 0; look < 10; look++) {
        await sleep(20)
        await ground.expectShown(folder)
        await ground.expectContents(folder, 'b')
      }
    })
  })

  test('a lost reply of an upload is looked for, and the upload not repeated', { timeout }, async () => {
    await repeat('lost', async (ground, folder, index) => {
      await ground.expectShown(folder)
      const big = provider.parts && index % 2 === 1
      ground.strike([[big ? 'commit' : 'put', { kind: 'lose-answer' }]])
      const before = ground.proxy.seen.length
      await ground.write(folder, 'new', big ? 6 * mebi : 3000)
      await ground.drive.uploaded(30_000)
      const ours = ground.proxy.seen.slice(before).filter(({ url }) => url.includes(`${folder}/new`))
      const sent = ours.map((seen) => provider.purposeOf(seen))
      expect(sent.filter((purpose) => purpose === (big ? 'commit' : 'put')).length).toBe(1)
    })
  })

  test('a token that expires in the middle of an upload', { timeout }, async ({ skip }) => {
    skip(!provider.parts, 'it takes a file in one request: there is no middle in which it would look at the token')
    await repeat('expired', async (ground, folder) => {
      await ground.expectShown(folder)
      let parts = 0
      let isExpired = true
      ground.decide((purpose) => {
        if (purpose === 'part') parts++
        return isExpired && parts > 1 ? provider.refusals.expired : { kind: 'pass' }
      })
      const received = ground.proxy.received
      await ground.write(folder, 'new', 21 * mebi)
      await expect
        .poll(() => ground.drive.drive.status().conditions, { timeout: 10_000 })
        .toContainEqual(expect.objectContaining({ kind: 'needs-sign-in' }))
      isExpired = false
      ground.drive.drive.setSecrets(ground.secrets)
      await ground.drive.uploaded(30_000)
      // The four parts that are under way at once are sent again, but none that had arrived.
      expect(ground.proxy.received - received).toBeLessThanOrEqual((21 + 4 * 5) * mebi + 100_000)
    })
  })
})
