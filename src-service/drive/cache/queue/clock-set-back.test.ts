import { afterEach, expect, test } from 'vitest'
import { CloudError } from '../../../common/errors.ts'
import { FakeCloud } from '../../../../tests/support/fake-cloud.ts'
import { ManualClock } from '../../../../tests/support/manual-clock.ts'
import { calls, cloud, end, rig, start } from '../../../../tests/support/one-rig.ts'

/** The clock of the machine is set back by hours while the drive runs: what waits for seconds still waits for seconds. */

afterEach(end)

const hours = 3_600_000

test('a file that has to be quiet for seconds is uploaded after these', async () => {
  const clock = new ManualClock()
  await start(new FakeCloud(), { writeBackSeconds: 5, clock })
  await rig.write('a', '1')
  await clock.advance(1000)
  clock.jump(-5 * hours)
  await clock.advance(3900)
  expect(calls('write')).toEqual([])
  // The queue looks up at least every half minute.
  await clock.advance(31_000)
  await expect.poll(() => cloud.text('a')).toBe('1')
})

test('a change that failed is tried again after its pause', async () => {
  const clock = new ManualClock()
  await start(new FakeCloud(), { clock })
  let failures = 0
  cloud.fault = ({ operation, done }) =>
    operation === 'write' && !done && failures++ === 0 ? new CloudError('unavailable', 'later') : undefined
  await rig.write('a', '1')
  await clock.advance(0)
  await expect.poll(() => failures).toBe(1)
  clock.jump(-5 * hours)
  await clock.advance(120_000)
  await expect.poll(() => cloud.text('a')).toBe('1')
})

test('a change that failed is tried again soon also by a process that came after the clock was set back by an hour', async () => {
  const clock = new ManualClock()
  await start(new FakeCloud(), { clock })
  let failures = 0
  cloud.fault = ({ operation, done }) =>
    operation === 'write' && !done && failures++ === 0 ? new CloudError('unavailable', 'later') : undefined
  await rig.write('a', '1')
  await clock.advance(0)
  await expect.poll(() => failures).toBe(1)
  clock.jump(-hours)
  await rig.crash()
  await clock.advance(120_000)
  await expect.poll(() => cloud.text('a')).toBe('1')
})
