/** Workers and services that die at a certain place: gdb holds them there, then they get SIGKILL. */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { signal } from '../support/installation.ts'
import { isProof } from '../support/random.ts'
import { Debugger, whyNoDebugger, type StopPoint } from './debugger.ts'
import { DriveUnderLoad } from './drive-under-load.ts'
import { whyNoConnectionList } from './kernel.ts'

const minutes = (count: number) => ({ timeout: count * 60_000 * (isProof ? 5 : 1) })
const reason = (await whyNoConnectionList()) ?? (await whyNoDebugger())

beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '')
})

/** Requests that change something; each is met at every point. */
const opcodes = { symlink: 6, mkdir: 9, unlink: 10, rename: 12, write: 16, create: 35 }

const points: readonly { readonly name: string; readonly stop: (opcode: number) => StopPoint }[] = [
  {
    name: 'after the request was read',
    stop: (opcode) => ({
      at: 'admit',
      when: `((struct fuse_in_header *)(door->memory + 4096 + door->free_slabs[door->free_slab_count - 1] * door->geometry.slab_size))->opcode == ${opcode}`,
    }),
  },
  { name: 'after the commit, before the reply', stop: (opcode) => ({ at: 'door_reply', when: isRequest(opcode) }) },
  {
    name: 'after the reply, before the request is cleared',
    stop: (opcode) => ({ at: 'door_reply', when: isRequest(opcode), then: 'free_place' }),
  },
]

const isService = (pid: number) => readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('cloudmoor-serv')
const isRequest = (opcode: number) => `((struct fuse_in_header *)(door->memory + offset))->opcode == ${opcode}`

describe('a worker that dies', () => {
  test.each(points)('$name: every change has taken effect once', minutes(3), async ({ name, stop }) => {
    await using drive = await DriveUnderLoad.start(2)
    const hits: string[] = []
    let pid = 0
    for (let round = 0; round < (isProof ? 5 : 1); round++) {
      for (const [operation, opcode] of Object.entries(opcodes)) {
        pid = await drive.workerPid(pid)
        await using held = await Debugger.attach(pid, stop(opcode))
        await held.reached(20_000)
        await held.kill()
        hits.push(operation)
      }
    }
    await drive.workerPid(pid)
    for (const load of drive.loads) await load.atWork()
    const { steps } = await drive.stopLoads()
    await drive.expectNothingLost()
    process.stdout.write(`${name}: ${hits.length} hits (${hits.join(', ')}), ${steps} steps, 0 errors, 0 bytes lost\n`)
  })
})

describe('a service that dies while it takes over', () => {
  const kills = isProof ? 20 : 5

  test('after the descriptors came: the mount stays, and the next service has it', minutes(3), async () => {
    await using drive = await DriveUnderLoad.start(2)
    const { installation } = drive
    const worker = await drive.workerPid()
    expect(signal(await drive.servicePid(), 'SIGKILL')).toBe(true)
    const program = [join(resolve(import.meta.dirname, '../..'), 'bin/cloudmoor-service')]
    for (let hits = 0; hits < kills; hits++) {
      await using held = await Debugger.start(program, installation.env, { at: 'deliver', when: 'fd_count > 0' })
      await held.reached(30_000)
      await held.kill()
      for (const load of drive.loads) await load.atWork()
    }
    await installation.cloudmoor(['service', 'start'])
    expect(await drive.workerPid()).toBe(worker)
    await drive.stopLoads()
    await drive.expectNothingLost()
    process.stdout.write(`between adoption and handover, descriptors received: ${kills} hits, 0 errors\n`)
  })

  test('before the worker sent them: the mount stays, and the next service has it', minutes(3), async () => {
    await using drive = await DriveUnderLoad.start(2)
    const { installation } = drive
    const worker = await drive.workerPid()
    for (let hits = 0; hits < kills; hits++) {
      expect(signal(await drive.servicePid(), 'SIGKILL')).toBe(true)
      await using held = await Debugger.attach(worker, { at: 'channel_send', when: 'fd_count > 0' })
      const next = installation.cloudmoor(['service', 'start']).catch(() => '')
      await held.reached(30_000)
      const service = (await installation.pids()).find((pid) => pid !== worker && isService(pid))
      expect(signal(service ?? 0, 'SIGKILL')).toBe(true)
      await next
      await held.letGo()
      await installation.cloudmoor(['service', 'start'])
      expect(await drive.workerPid()).toBe(worker)
      for (const load of drive.loads) await load.atWork()
    }
    await drive.stopLoads()
    await drive.expectNothingLost()
    process.stdout.write(`between adoption and handover, descriptors asked for: ${kills} hits, 0 errors\n`)
  })
})
