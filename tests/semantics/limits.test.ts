import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { errno, errnoTable } from '../../src-service/drive/fuse/errno.ts'
import { outcome, proxiedDrive, shell, sleep } from './fixture.ts'

const minutes = { timeout: 240_000 }
const megabyte = 1_000_000

test('The cache size is hard', minutes, async (context) => {
  const drive = await proxiedDrive(['--cache-size', '64M', '--option', 'writeBackSeconds=0'])
  if ('missing' in drive) return context.skip(drive.missing)
  await using used = drive
  const { mount, installation } = used
  let worst = 0
  const progress = { ended: false }
  const writing = shell(
    `for i in $(seq 1 20); do head -c 10000000 /dev/urandom > "${mount}/f$i"; sha256sum < "${mount}/f$i" >> "${installation.folder}/sums"; done`,
    180_000,
  ).finally(() => (progress.ended = true))
  while (!progress.ended) {
    const { text } = await outcome(`find "${installation.home}" -type d -name blobs -exec du -s -B1 {} + | cut -f1`)
    worst = Math.max(worst, Number(text.trim()))
    await sleep(100)
  }
  await writing
  expect(worst).toBeGreaterThan(10 * megabyte)
  // du counts whole blocks of the disk, a few more bytes than the files have.
  expect(worst).toBeLessThanOrEqual(64 * megabyte + 20 * 4096)
  await installation.uploaded('drive', 90_000)
  await shell(`for i in $(seq 1 20); do sha256sum < "${mount}/f$i"; done | diff - "${installation.folder}/sums"`, 90_000)
  // One file that can never fit.
  const big = await outcome(`head -c 90000000 /dev/zero > "${mount}/big"`, 90_000)
  expect(big.text).toMatch(/No space left|File too large/)
})

test('Nothing hangs', minutes, async (context) => {
  const drive = await proxiedDrive()
  if ('missing' in drive) return context.skip(drive.missing)
  await using used = drive
  const { mount, installation, proxy } = used
  await shell(`mkdir "${mount}/d"; head -c 2000000 /dev/zero > "${mount}/d/f"`)
  await installation.uploaded('drive')
  await installation.cloudmoor(['unmount', 'drive'])
  const copy = await installation.mount('second', 'cloud', ['--shared'])
  await shell(`ls "${copy}" > /dev/null`)
  proxy.decide = () => ({ kind: 'delay', milliseconds: 300_000 })
  const begun = performance.now()
  const listing = await outcome(`ls "${copy}/d"`, 40_000)
  expect(listing.code).not.toBe(0)
  expect(listing.text).toMatch(/timed out|unreachable/)
  expect(performance.now() - begun).toBeLessThan(20_000)
  // df answers from what is known.
  await shell(`df "${copy}" > /dev/null`, 5000)
  expect(proxy.struck).toBeGreaterThan(0)
})

test('the errno table of the document is the one of the code', async () => {
  const text = await readFile(join(import.meta.dirname, '../../docs/semantics.md'), 'utf8')
  const kinds = {
    'surely absent': 'not-found',
    'provider not reached': 'offline',
    'deadline passed': 'timeout',
    'provider asks for a pause longer than the deadline': 'throttled',
    'provider answers 5xx': 'unavailable',
    'provider answers nonsense': 'garbage',
    'credentials missing, wrong or expired': 'sign-in',
    'provider forbids it': 'access',
    'provider full': 'quota',
    'cache or disk full': 'no-space',
    'file larger than the provider or the cache takes': 'too-large',
    'version superseded': 'stale',
    'read-only mount': 'read-only',
    'not possible on this provider': 'unsupported',
    'local disk failed, or a base version was lost': 'io',
  } as const
  const rows = [...text.matchAll(/^\| ([^|]+) \| (E[A-Z]+) \|$/gm)].map(([, what, name]) => [what, name])
  const names = new Map<number, string>(Object.entries(errno).map(([name, value]) => [value, name]))
  expect(rows).toEqual(Object.entries(kinds).map(([what, kind]) => [what, names.get(errnoTable[kind])]))
})
