/** The bench itself works: one scenario, once, on CloudMoor and the native disk. What it measures is not looked at. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, it } from 'vitest'
import { findMinio } from '../servers/minio.ts'
import { run } from '../support/installation.ts'

interface Trial {
  readonly contestant: string
  /** By row. */
  readonly values: Readonly<Record<string, number>>
}

it('measures and keeps what it found', { timeout: 120_000 }, async ({ skip }) => {
  const minio = await findMinio()
  if ('missing' in minio) skip(minio.missing)
  if (process.platform !== 'linux' || process.getuid?.() !== 0) skip('the bench drops caches and mounts as root on Linux')
  const folder = await mkdtemp(join(tmpdir(), 'cloudmoor-bench-test-'))
  try {
    const file = join(folder, 'results.json')
    const args = ['--quick', '--near', '--only', 'create', '--contestants', 'CloudMoor', '--trials', '1', '--no-touch', '--out', file]
    const outcome = await run(resolve(import.meta.dirname, '../../bench/run'), args, { timeoutMs: 110_000 })
    expect(outcome.code, outcome.stderr).toBe(0)
    expect(outcome.stdout).toMatch(/^create 300 × 16 KiB, a second +[\d.,]+ .*[\d.,]+/m)
    const { trials } = JSON.parse(await readFile(file, 'utf8')) as { readonly trials: readonly Trial[] }
    const measured = trials.flatMap(({ contestant, values }) =>
      Object.keys(values).flatMap((row) => ((values[row] ?? 0) > 0 ? [`${row} ${contestant}`] : [])),
    )
    expect(measured.toSorted()).toEqual(['create CloudMoor', 'create native', 'create-sent CloudMoor', 'remove CloudMoor', 'remove native'])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
