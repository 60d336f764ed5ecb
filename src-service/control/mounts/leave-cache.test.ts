import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../common/clock.ts'
import { filesInHand, untilHandedOver } from './drivers/rclone-cache.ts'
import { refuseUnsent } from './leave-cache.ts'
import { rcloneCache } from './mount-plan.ts'

const nothing = { files: 0, bytes: 0, parked: 0, uploading: 0 }
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cm-leave-'))
})
afterEach(() => rm(folder, { recursive: true }))

/** As rclone writes it. */
async function describeFile(name: string, text: string): Promise<void> {
  const path = join(rcloneCache(folder), 'vfsMeta', 'cloudmoor', name)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, text)
}

test('what rclone has not handed over is counted, also while its description is written', async () => {
  expect(await filesInHand(rcloneCache(folder))).toBe(0)
  await describeFile('sent', '{"Size": 5, "Fingerprint": "5,2001-09-09", "Dirty": false}')
  await describeFile('a/b/open', '{"Size": 5, "Fingerprint": "", "Dirty": true}')
  await describeFile('a/half', '{"Size": 5, "Fing')
  expect(await filesInHand(rcloneCache(folder))).toBe(2)
})

test('it is waited for, but not for ever', async () => {
  await describeFile('file', '{"Dirty": true}')
  expect(await untilHandedOver(systemClock, rcloneCache(folder), 50)).toBe(1)
  const waiting = untilHandedOver(systemClock, rcloneCache(folder), 5000)
  await describeFile('file', '{"Dirty": false}')
  expect(await waiting).toBe(0)
})

test('a mount is not removed with files that exist nowhere else', async () => {
  const record = { name: 'drive' }
  await refuseUnsent(record, nothing, folder)
  await expect(refuseUnsent(record, { ...nothing, files: 2, bytes: 7 }, folder)).rejects.toMatchObject({
    ...{ kind: 'busy', code: 'UNSENT_FILES', message: "'drive' has 2 files (7 bytes) that are not uploaded yet" },
    hint: expect.stringContaining('mount remove drive --wait') as string,
  })
  await describeFile('file', '{"Dirty": true}')
  await expect(refuseUnsent(record, nothing, folder)).rejects.toMatchObject({
    ...{ code: 'UNSENT_FILES', message: "'drive' has 1 files that rclone has not handed over yet" },
    hint: expect.stringContaining('cloudmoor mount drive') as string,
  })
})
