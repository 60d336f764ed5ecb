/** Workers that stand still, and requests that end whoever serves them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, test } from 'vitest'
import { run, shell, signal } from '../support/installation.ts'
import { Debugger, type StopPoint, whyNoDebugger } from './debugger.ts'
import { DriveUnderLoad } from './drive-under-load.ts'
import { whyNoConnectionList } from './kernel.ts'

const reason = await whyNoConnectionList()
const noDebugger = await whyNoDebugger()

beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '')
})

describe('a worker that stands still', () => {
  test('is replaced, and callers see a pause', { timeout: 120_000 }, async () => {
    await using drive = await DriveUnderLoad.start(2)
    const pid = await drive.workerPid()
    await drive.busyMoment()
    expect(signal(pid, 'SIGSTOP')).toBe(true)
    const begun = performance.now()
    await drive.workerPid(pid)
    const seconds = (performance.now() - begun) / 1000
    // 10 s without an answer, looked at every 3 s; the rest is the replacement.
    expect(seconds).toBeGreaterThan(9)
    expect(seconds).toBeLessThan(20)
    for (const load of drive.loads) await load.atWork()
    const { worstMs } = await drive.stopLoads()
    expect(worstMs).toBeGreaterThan(9000)
    await drive.expectNothingLost()
    process.stdout.write(`stopped worker: replaced after ${seconds.toFixed(1)} s, worst stall ${worstMs} ms, 0 errors, 0 bytes lost\n`)
  })
})

/** The moment when the answer to a LOOKUP of `poison` is ready; its refusal with EIO is not meant. */
const poison: StopPoint = {
  at: 'door_reply',
  when:
    '((struct fuse_in_header *)(door->memory + offset))->opcode == 1 && error != 5 && ' +
    '$_streq((char *)(door->memory + offset + sizeof(struct fuse_in_header)), "poison")',
}

function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
  } catch {
    return ''
  }
}

/** A worker that serves nothing yet: the next to take over. */
async function spareWorker(drive: DriveUnderLoad, known: readonly number[]): Promise<number> {
  const end = performance.now() + 20_000
  while (performance.now() < end) {
    // It takes its name when it has loaded the addon.
    const spare = (await drive.installation.workerPids()).find((pid) => !known.includes(pid) && nameOf(pid) === 'cloudmoor-work')
    if (spare !== undefined) return spare
    await sleep(50)
  }
  throw new Error('no spare worker within its time')
}

describe('a request that ends whoever serves it', () => {
  beforeEach(({ skip }) => {
    skip(noDebugger !== null, noDebugger ?? '')
  })

  test('is refused after two deaths; everyone else is served', { timeout: 120_000 }, async () => {
    await using drive = await DriveUnderLoad.start(1)
    const pid = await drive.workerPid()
    const spare = await spareWorker(drive, [pid])
    await using first = await Debugger.attach(pid, poison)
    await using second = await Debugger.attach(spare, poison)
    const caller = run('stat', [join(drive.mount, 'poison')], { timeoutMs: 60_000 })
    await first.reached(20_000)
    await first.kill()
    await second.reached(20_000)
    await second.kill()
    const { code, stderr } = await caller
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('Input/output error') as string })
    expect(await drive.workerPid(spare)).not.toBe(pid)
    for (const load of drive.loads) await load.atWork()
    await drive.stopLoads()
    await drive.expectNothingLost()
    expect((await run('stat', [join(drive.mount, 'poison')])).stderr).toContain('No such file or directory')
  })

  test('five deaths without an answer: the mount fails with the reason, callers get an error and no hang', {
    timeout: 120_000,
  }, async () => {
    await using drive = await DriveUnderLoad.start(0)
    const { installation, mount } = drive
    await shell(`echo kept > "${mount}/file"`)
    const anyReply: StopPoint = { at: 'door_reply' }
    const known = [await drive.workerPid()]
    let held = await Debugger.attach(known[0] ?? 0, anyReply)
    const caller = run('stat', [join(mount, 'other')], { timeoutMs: 90_000 })
    for (let deaths = 1; deaths <= 5; deaths++) {
      await using current = held
      await current.reached(30_000)
      if (deaths < 5) {
        const spare = await spareWorker(drive, known)
        known.push(spare)
        held = await Debugger.attach(spare, anyReply)
      }
      await current.kill()
    }
    expect((await caller).stderr).toMatch(/connection abort|not connected/)
    await expect.poll(async () => (await installation.mountStatus('drive')).state, { timeout: 10_000 }).toBe('failed')
    expect((await installation.mountStatus('drive')).reason).toContain('5 times in a row without answering')
    // It stands again when it is asked for, with everything in it.
    await installation.cloudmoor(['mount', 'drive'])
    expect(await shell(`cat "${mount}/file"`)).toBe('kept\n')
  })
})
