import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { bookDeath } from '../../src-service/control/mounts/death-record.ts'
import { random } from '../support/random.ts'
import { Mounted, canMount, run } from './mounted.ts'
import type { WorkerKind } from './mounted.ts'

/** How often; more for a long run. */
const kills = Number(process.env['FUSE_KILLS'] ?? '30')

/** What a worker says of its predecessor's requests. */
interface Redone {
  readonly run: number
  readonly replayed: number
  readonly refused: number
}

/** Waits, at most a second, for a moment when the kernel waits for the worker: only such a kill proves something. */
async function busyMoment(mounted: Mounted): Promise<boolean> {
  await sleep(random() * 60)
  const end = performance.now() + 1000
  while (performance.now() < end) {
    for (let i = 0; i < 200; i++) if (mounted.waiting() > 0) return true
    await sleep(1)
  }
  return false
}

describe.skipIf(!canMount())('a worker that is killed', () => {
  test.each<WorkerKind>(['journal', 'journal-slow'])(
    `%s, ${kills} times under load: two programs notice nothing but pauses, and the bytes are there`,
    { timeout: 165_000 },
    async (kind) => {
      const mounted = await Mounted.make(kind)
      try {
        const program = join(import.meta.dirname, 'strict-load.ts')
        const manifests = ['a', 'b'].map((name) => join(mounted.folder, `manifest-${name}`))
        const loads = manifests.map((manifest, i) => run(process.execPath, [program, join(mounted.path, `load${i}`), manifest], '/', 160))
        const ended = Promise.race(loads)
        let counted = 0
        let longest = 0
        for (let kill = 0; kill < kills; kill++) {
          if (await busyMoment(mounted)) counted++
          const begun = performance.now()
          await mounted.kill()
          bookDeath(mounted.header, true)
          await mounted.start(kind, true)
          longest = Math.max(longest, performance.now() - begun)
          const early = await Promise.race([ended, sleep(0, null)])
          if (early !== null) throw new Error(`a program ended after ${kill} kills: ${early.output}`)
        }
        for (const manifest of manifests) writeFileSync(`${manifest}.stop`, '')
        const outputs = (await Promise.all(loads)).map(({ output }) => output)
        expect(outputs).toEqual([expect.stringMatching(/^ok [1-9]/), expect.stringMatching(/^ok [1-9]/)])
        expect(counted).toBeGreaterThanOrEqual(kills * 0.8)
        // Again from nothing: a worker that has only the journal, and a kernel that has forgotten what it read.
        await mounted.kill()
        await mounted.start(kind, true)
        for (const [i, manifest] of manifests.entries()) {
          const sums = readFileSync(manifest, 'utf8').matchAll(/has (\S+) (\S+)/g)
          for (const [, name = '', sum] of sums) {
            const found = (await run('sha256sum', [join(mounted.path, `load${i}`, name)])).output.split(' ')[0]
            expect([name, found]).toEqual([name, sum])
          }
        }
        expect(mounted.said.filter((line) => /^(warn|error)/.test(line))).toEqual([])
        const redone = mounted.said
          .filter((line) => line.startsWith('info requests of a dead'))
          .map((line) => JSON.parse(line.slice(line.indexOf('{'))) as Redone)
        const sum = (of: keyof Redone): number => redone.reduce((total, one) => total + one[of], 0)
        expect(sum('refused')).toBe(0)
        expect(sum('run')).toBeGreaterThan(0)
        process.stdout.write(
          `${kind}: ${counted} of ${kills} kills while requests waited; redone ${sum('run')}, from the log ${sum('replayed')}; ` +
            `longest replacement ${Math.round(longest)} ms; steps ${outputs.map((output) => output.trim()).join(', ')}\n`,
        )
      } finally {
        await mounted.remove()
      }
    },
  )

  test.each(['poison', 'poison-later'])('by a request of its own, %s: it is found out and refused, the others are served', async (name) => {
    const mounted = await Mounted.make('journal')
    try {
      expect((await run('sh', ['-c', 'echo safe > file'], mounted.path)).code).toBe(0)
      const culprit = run('stat', [join(mounted.path, name)])
      await untilGone(mounted)
      const bystander = run('sh', ['-c', 'cat file; echo more >> file'], mounted.path)
      let deaths = 0
      do {
        deaths++
        bookDeath(mounted.header, true)
        await mounted.start('journal', true)
        await Promise.race([culprit, untilGone(mounted)])
      } while (mounted.isGone() && deaths < 5)
      expect((await culprit).output).toContain('Input/output error')
      expect(await bystander).toEqual({ code: 0, output: 'safe\n' })
      // At its first redoing a request that waits is still taken for a bystander.
      expect(deaths).toBe(name === 'poison' ? 2 : 4)
      expect((await run('cat', [join(mounted.path, 'file')])).output).toBe('safe\nmore\n')
    } finally {
      await mounted.remove()
    }
  })
})

async function untilGone(mounted: Mounted): Promise<void> {
  while (!mounted.isGone()) await sleep(5)
}
