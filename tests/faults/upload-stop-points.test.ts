/** Workers that die in the middle of an upload: a proxy holds it there, then they get SIGKILL. */
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { type Cloud, minioCloud } from '../support/clouds.ts'
import { shell, signal } from '../support/installation.ts'
import { isProof } from '../support/random.ts'
import { DriveUnderLoad } from './drive-under-load.ts'
import { HoldingProxy, type Moment } from './holding-proxy.ts'
import { whyNoConnectionList } from './kernel.ts'
import { findMinio } from '../servers/minio.ts'
import { sums } from './manifest.ts'

const kills = isProof ? 20 : 5
const found = await findMinio()
const reason = (await whyNoConnectionList()) ?? ('missing' in found ? found.missing : null)

beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '')
})

const moments: readonly { readonly name: string; readonly moment: Moment; readonly mebibytes: number }[] = [
  { name: 'in an upload part', moment: 'part', mebibytes: 12 },
  { name: 'completion sent and unanswered', moment: 'completion', mebibytes: 12 },
  { name: 'object sent in one piece and unanswered', moment: 'put', mebibytes: 1 },
]

/** The account of a cloud, through a proxy. Parts are as small as S3 allows. */
function through(proxy: HoldingProxy, cloud: Cloud): Cloud {
  return { ...cloud, account: { ...cloud.account, set: { ...cloud.account.set, endpoint: proxy.endpoint, partSize: '5' } } }
}

describe('a worker that dies', () => {
  test.each(moments)('$name: the file arrives, once', { timeout: (isProof ? 15 : 3) * 60_000 }, async ({ name, moment, mebibytes }) => {
    const cloud = await minioCloud()
    if ('missing' in cloud) throw new Error(cloud.missing)
    await using proxy = await HoldingProxy.start(cloud.account.set['endpoint'] ?? '')
    await using drive = await DriveUnderLoad.start(0, { cloud: through(proxy, cloud) })
    const { installation, mount } = drive
    const scratch = join(installation.folder, 'scratch')
    await shell(`mkdir "${scratch}" "${mount}/big"`)
    let pid = 0
    for (let hit = 0; hit < kills; hit++) {
      pid = await drive.workerPid(pid)
      const held = proxy.hold(moment, 30_000)
      await shell(`head -c ${mebibytes}M /dev/urandom > "${scratch}/${hit}"; cp "${scratch}/${hit}" "${mount}/big/${hit}"`)
      await held
      expect(signal(pid, 'SIGKILL')).toBe(true)
      proxy.letGo()
    }
    const load = drive.addLoad('load')
    await load.atWork(50)
    const { steps } = await drive.stopLoads()
    const expected = await sums(scratch)
    expect(expected.size).toBe(kills)
    expect(await sums(join(mount, 'big'))).toEqual(expected)
    await installation.uploaded('drive', 90_000)
    await drive.atRemote(async (copy) => {
      expect(await sums(join(copy, 'big'))).toEqual(expected)
      await drive.expectAsLeft(copy)
    })
    // The next worker goes on with the session of the dead one.
    if (moment === 'part') expect(proxy.resumed).toBeGreaterThan(0)
    process.stdout.write(`${name}: ${kills} hits, ${steps} steps, 0 errors, 0 bytes lost\n`)
  })
})
