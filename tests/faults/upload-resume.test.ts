/** A large upload whose worker is killed again and again: what had arrived is not sent again, and nothing is left behind. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { openConnector } from '../../src-service/drive/connectors/registry.ts'
import { S3Client } from '../../src-service/drive/connectors/s3/s3-client.ts'
import { resolveSettings } from '../../src-service/drive/connectors/s3/settings.ts'
import { at, signal, statOf } from '../conformance/candidate.ts'
import { findMinio } from '../servers/minio.ts'
import type { ChaosProxy } from '../support/chaos-proxy.ts'
import { startChaosProxy } from '../support/chaos-proxy.ts'
import { minioCloud } from '../support/clouds.ts'
import { Installation, shell, signal as kill } from '../support/installation.ts'
import { whyNoConnectionList } from './kernel.ts'

const proof = process.env['CLOUDMOOR_PROOF'] === '1'
const [mebibytes, kills] = proof ? [5 * 1024, 10] : [320, 3]
const mebi = 2 ** 20
const partSize = 8 * mebi
const parallelParts = 4
const found = await findMinio()
const reason = (await whyNoConnectionList()) ?? ('missing' in found ? found.missing : null)

/** How often each part was stored, by number. */
function stored(proxy: ChaosProxy): Map<string, number> {
  const times = new Map<string, number>()
  for (const { method, url, status } of proxy.answered) {
    const number = /partNumber=(\d+)/.exec(url)?.[1]
    if (method === 'PUT' && number !== undefined && status === 200) times.set(number, (times.get(number) ?? 0) + 1)
  }
  return times
}

/** The worker that serves, once it is another one than before. */
async function nextWorker(installation: Installation, before: number): Promise<number> {
  for (;;) {
    const { pid } = await installation.mountStatus('drive')
    if (pid > 0 && pid !== before) return pid
    await sleep(20)
  }
}

test(`${mebibytes} MiB, ${kills} kills`, { timeout: proof ? 20 * 60_000 : 120_000 }, async ({ skip }) => {
  skip(reason !== null, reason ?? '')
  const cloud = await minioCloud()
  if ('missing' in cloud) throw new Error(cloud.missing)
  await using all = new AsyncDisposableStack()
  all.use(cloud)
  const proxy = await startChaosProxy(String(cloud.account.set['endpoint']))
  all.defer(() => proxy.close())
  const installation = all.use(await Installation.create())
  await installation.account('cloud', { ...cloud.account, set: { ...cloud.account.set, endpoint: proxy.endpoint } })
  const mount = await installation.mount('drive', 'cloud', ['--option', 'writeBackSeconds=0', '--cache-size', `${mebibytes + 1024}M`])
  const original = join(installation.folder, 'original')
  await shell(`head -c ${mebibytes}M /dev/urandom > "${original}"; cp "${original}" "${mount}/big"`, 600_000)

  let pid = 0
  for (let hit = 1; hit <= kills; hit++) {
    const goal = Math.floor((hit * mebibytes * mebi) / partSize / (kills + 1))
    await expect.poll(() => stored(proxy).size, { interval: 5, timeout: 300_000 }).toBeGreaterThanOrEqual(goal)
    pid = await nextWorker(installation, pid)
    expect(kill(pid, 'SIGKILL')).toBe(true)
  }
  await installation.uploaded('drive', 900_000)

  const parts = stored(proxy)
  const again = [...parts.values()].reduce((sum, times) => sum + times - 1, 0)
  expect(parts.size).toBe(Math.ceil((mebibytes * mebi) / partSize))
  expect(again).toBeLessThanOrEqual(kills)
  // Beside them only what was on its way when the worker died.
  expect(proxy.received).toBeLessThanOrEqual(mebibytes * mebi + kills * parallelParts * partSize + mebi)
  expect(proxy.seen.filter(({ method, url }) => method === 'POST' && /\/big\?.*uploads=/.test(url)).length).toBe(1)

  const { type, set, secrets } = cloud.account
  const context = { settings: { options: set, secret: (name: string) => secrets[name] }, remoteRoot: '', log: () => undefined }
  const truth = openConnector(type, context)
  const { size, rev } = await statOf(truth, at('big'))
  const there = createHash('sha256')
  for await (const chunk of truth.read(at('big'), 0, size, rev, signal)) there.update(chunk)
  await truth.close()
  const ours = createHash('sha256')
  for await (const chunk of createReadStream(original) as AsyncIterable<Buffer>) ours.update(chunk)
  expect(there.digest('hex')).toBe(ours.digest('hex'))

  const client = new S3Client(resolveSettings(context))
  const query = [
    ['uploads', ''],
    ['prefix', 'big'],
  ] as const
  const { body } = await client.send({ method: 'GET', bucket: String(set['bucket']), key: Buffer.alloc(0), query }, signal)
  expect(await body.text(100_000)).not.toContain('<UploadId>')
  await client.close()
  process.stdout.write(`${mebibytes} MiB: ${kills} kills, ${again} parts sent again that had arrived, hash equal, no session left\n`)
})
