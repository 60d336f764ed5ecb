import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, test } from 'vitest'
import { signal } from '../support/installation.ts'
import { isProof, random } from '../support/random.ts'
import { DriveUnderLoad } from './drive-under-load.ts'
import { whyNoConnectionList } from './kernel.ts'
import { together } from './running-load.ts'

const rounds = { worker: isProof ? 200 : 50, service: isProof ? 50 : 10, both: isProof ? 50 : 10 }
const minutes = (count: number) => ({ timeout: count * 60_000 * (isProof ? 5 : 1) })
const reason = await whyNoConnectionList()

beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '')
})

describe('kills under load', () => {
  test(`worker, ${rounds.worker} times: callers see a pause, never an error`, minutes(4), async () => {
    await using drive = await DriveUnderLoad.start(3)
    let pid = 0
    for (let kills = 0; kills < rounds.worker; kills++) {
      pid = await drive.workerPid(pid)
      await sleep(random() * 100)
      await drive.busyMoment()
      expect(signal(pid, 'SIGKILL')).toBe(true)
    }
    await drive.workerPid(pid)
    const report = await drive.stopLoads()
    await drive.expectNothingLost()
    say('worker', rounds.worker, report)
  })

  test(`service, ${rounds.service} times: mounts stay, callers see no error`, minutes(3), async () => {
    await using drive = await DriveUnderLoad.start(2)
    const worker = await drive.workerPid()
    for (let kills = 0; kills < rounds.service; kills++) {
      const pid = await drive.servicePid()
      await sleep(random() * 200)
      await drive.busyMoment()
      expect(signal(pid, 'SIGKILL')).toBe(true)
      await sleep(random() * 200)
      await drive.installation.cloudmoor(['service', 'start'])
      expect(await drive.workerPid()).toBe(worker)
    }
    const report = await drive.stopLoads()
    await drive.expectNothingLost()
    say('service', rounds.service, report)
  })

  test(`both, ${rounds.both} times: nothing that was closed is lost`, minutes(4), async () => {
    await using drive = await DriveUnderLoad.start(0)
    const reports = []
    for (let round = 0; round < rounds.both; round++) {
      const load = drive.addLoad(`round-${round}`)
      await load.atWork()
      await sleep(300 + random() * 1000)
      const pids = [await drive.servicePid(), await drive.workerPid()]
      await drive.busyMoment()
      for (const pid of round % 2 === 0 ? pids : pids.toReversed()) expect(signal(pid, 'SIGKILL')).toBe(true)
      // Without anyone who holds the connection the program gets ENOTCONN, and no hang.
      reports.push(await load.stop())
      await drive.installation.cloudmoor(['service', 'start'])
      await drive.workerPid()
    }
    await drive.expectClosedFiles(drive.mount)
    await drive.installation.uploaded('drive', 120_000)
    await drive.atRemote((copy) => drive.expectClosedFiles(copy))
    say('both', rounds.both, together(reports))
  })
})

function say(what: string, kills: number, { steps, calls, worstMs }: ReturnType<typeof together>): void {
  process.stdout.write(
    `${what}: ${kills} kills while requests waited, worst stall ${worstMs} ms, 0 bytes lost; ${steps} steps, ${calls} calls\n`,
  )
}
