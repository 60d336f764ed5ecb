import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadNative } from '../../src-service/common/native/load-native.ts'
import { header } from '../../src-service/common/native/native.ts'
import type { Native } from '../../src-service/common/native/native.ts'
import { random } from '../support/random.ts'
import { nameAt, opcode, serve } from './responder.ts'
import type { Responder } from './responder.ts'
import { startProgram, testMount } from './test-mount.ts'
import type { TestMount } from './test-mount.ts'

const ENODEV = 19
const ECONNABORTED = 103
const force = 1
const here = import.meta.dirname
const teardown = fileURLToPath(new URL('./teardown.ts', import.meta.url))
const mayMount = process.platform === 'linux' && loadNative().canMount()

describe.skipIf(!mayMount)('door on a real mount', () => {
  let native: Native
  let mount: TestMount
  const running: Responder[] = []

  beforeEach(async () => {
    native = loadNative()
    mount = await testMount(native)
  })

  afterEach(async () => {
    await mount.end()
    for (const responder of running.splice(0)) responder.door.stop()
  })

  function start(options: Parameters<typeof serve>[3] = {}): Responder {
    const responder = serve(native, mount.fuseFd, mount.memoryFd, options)
    running.push(responder)
    return responder
  }

  it('answers calls of another process and hears of the unmount', async () => {
    const responder = start()
    expect(await mount.run('stat', '-c', '%F %s', mount.path, join(mount.path, 'file'))).toMatchObject({
      code: 0,
      stdout: 'directory 0\nregular file 1048576\n',
    })
    const absent = await mount.run('stat', join(mount.path, 'absent'))
    expect(absent.code).toBe(1)
    expect(absent.stderr).toContain('No such file or directory')
    await native.unmount(mount.path, 0)
    expect(await responder.closed).toBe(ENODEV)
    const page = native.mapHeader(mount.memoryFd)
    const answered = [...responder.seen].filter(([code]) => ![opcode.forget, opcode.batchForget, opcode.interrupt].includes(code))
    expect(page.readUInt32LE(header.answered)).toBe(answered.reduce((sum, [, count]) => sum + count, 0))
    expect(responder.door.counters().requests).toBeGreaterThanOrEqual(5)
  })

  it('hears of an aborted connection, which ends every wait', async () => {
    const { promise: held, resolve: holding } = Promise.withResolvers<boolean>()
    const responder = start({
      hold: (door, offset) => {
        const lookup = door.memory.readUInt32LE(offset + 4) === opcode.lookup
        if (lookup) holding(true)
        return lookup
      },
    })
    const caller = mount.run('stat', join(mount.path, 'held'))
    await held
    await native.unmount(mount.path, force).catch((error: unknown) => {
      expect(error).toMatchObject({ code: 'EBUSY' })
    })
    expect([ENODEV, ECONNABORTED]).toContain(await responder.closed)
    expect((await caller).stderr).toMatch(/not connected|abort/)
  })

  it('carries large reads and writes', async () => {
    const responder = start()
    const file = join(mount.path, 'file')
    const write = `head -c 3000000 /dev/zero | tr '\\0' Z | dd of=${file} bs=3000000 iflag=fullblock conv=notrunc status=none`
    expect(await mount.run('sh', '-c', write)).toMatchObject({ code: 0, stderr: '' })
    expect(Buffer.concat(responder.written).equals(Buffer.alloc(3000000, 'Z'))).toBe(true)
    expect(await mount.run('sh', '-c', `head -c 1048576 ${file} | tr -d Z | wc -c`)).toMatchObject({ code: 0, stdout: '0\n' })
  })

  it.skipIf(availableParallelism() < 2)('polls after a reply where that pays, and not where it is forbidden', async () => {
    const look = `import os,sys
for i in range(500):
  try: os.stat(sys.argv[1]+'/n%d'%i)
  except FileNotFoundError: pass`
    const polling = start({ pollMicroseconds: 500 })
    expect((await mount.run('python3', '-c', look, mount.path)).code).toBe(0)
    expect(polling.door.counters().pollHits).toBeGreaterThan(10)
    polling.door.stop()
    const quiet = start({ pollMicroseconds: 0 })
    expect((await mount.run('python3', '-c', look, mount.path)).code).toBe(0)
    expect(quiet.door.counters()).toMatchObject({ pollHits: 0, pollMicroseconds: 0 })
    expect(quiet.door.counters().requests).toBeGreaterThanOrEqual(500)
  })

  it('never waits for a notification that blocks', async () => {
    let held = -1
    const responder = start({
      hold: (door, offset) => {
        if (door.memory.readUInt32LE(offset + 4) !== opcode.lookup || nameAt(door, offset) !== 'slow') return false
        held = offset
        return true
      },
    })
    const caller = mount.run('stat', join(mount.path, 'slow'))
    while (held < 0) await sleep(5)
    const message = Buffer.alloc(16 + 16 + 5)
    message.writeUInt32LE(message.length, 0)
    message.writeInt32LE(3, 4) // INVAL_ENTRY: waits for the folder, which the unanswered LOOKUP holds
    message.writeUInt32LE(1, 16)
    message.writeUInt32LE(4, 24)
    message.write('slow', 32)
    expect(responder.door.notify(message)).toBe(-22)
    expect(responder.door.notifyLater(message)).toBe(true)
    await sleep(100)
    expect((await mount.run('stat', '-c', '%F', mount.path)).stdout).toBe('directory\n')
    expect(responder.door.reply(held, 2, null, 0, 0)).toBe(0)
    expect((await caller).code).toBe(1)
    expect((await mount.run('stat', join(mount.path, 'file'))).code).toBe(0)
  })

  it('leaves requests of a killed process to its successor', async () => {
    const file = join(here, 'responder.ts')
    const first = startProgram(mount, file, 'hold', String(opcode.write))
    await first.line('ready')
    const caller = mount.run(
      'sh',
      '-c',
      `head -c 200000 /dev/zero | dd of=${join(mount.path, 'file')} bs=200000 iflag=fullblock conv=notrunc`,
    )
    await first.line(`held ${opcode.write}`)
    first.child.kill('SIGKILL')
    await once(first.child, 'exit')
    const second = startProgram(mount, file, 'hold', String(opcode.lookup))
    expect(await second.line('ready')).toBe(`ready ${opcode.write} sizes 200000`)
    expect(await caller).toMatchObject({ code: 0 })

    const looker = mount.run('stat', '-c', '%s', join(mount.path, 'file'))
    await second.line(`held ${opcode.lookup}`)
    second.child.kill('SIGKILL')
    await once(second.child, 'exit')
    const third = start()
    expect(third.leftovers).toEqual([opcode.lookup])
    expect(await looker).toMatchObject({ code: 0, stdout: '1048576\n' })
  })

  it('survives kill after kill without an error for the caller', async () => {
    const script = `import os,sys,time
end=time.time()+4
n=0
while time.time()<end:
  try: os.stat(sys.argv[1]+'/n%d'%n)
  except FileNotFoundError: pass
  fd=os.open(sys.argv[1]+'/file',os.O_RDWR)
  assert os.pwrite(fd,b'w'*9000,0)==9000
  assert os.pread(fd,9000,0)==b'Z'*9000
  os.close(fd)
  n+=1
print(n)`
    const callerDone = new AbortController()
    const caller = mount.run('python3', '-c', script, mount.path).finally(() => {
      callerDone.abort()
    })
    let kills = 0
    while (!callerDone.signal.aborted) {
      const worker = startProgram(mount, join(here, 'responder.ts'), 'serve')
      await worker.line('ready')
      await Promise.race([sleep(random() * 40), caller])
      worker.child.kill('SIGKILL')
      await once(worker.child, 'exit')
      kills++
    }
    const result = await caller
    expect(result).toMatchObject({ code: 0, stderr: '' })
    expect(Number(result.stdout)).toBeGreaterThan(kills)
    expect(kills).toBeGreaterThan(5)
  })

  it.each(['close', 'exit', 'throw', 'thread'])('ends cleanly with everything open: %s', async (how) => {
    const program = startProgram(mount, teardown, how)
    const [code, signal] = (await once(program.child, 'exit', { signal: AbortSignal.timeout(10_000) })) as [number | null, string | null]
    expect([code, signal]).toEqual([how === 'throw' ? 1 : 0, null])
  })

  it('refuses calls that make no sense', () => {
    const { door } = start()
    expect(door.reply(0, 0, null, 0, 0)).toBe(-22)
    expect(door.reply(4096, 0, Buffer.alloc(4), 0, 4)).toBe(-22)
    expect(() => door.reply(-1, 0, null, 0, 0)).toThrow('argument 1')
    expect(() => door.reply(4096, 0, Buffer.alloc(4), 2, 3)).toThrow('outside')
    expect(() => {
      door.release(4096)
    }).toThrow(expect.objectContaining({ code: 'EINVAL' }))
    expect(() => {
      door.start()
    }).toThrow(expect.objectContaining({ code: 'EALREADY' }))
    door.stop()
    door.stop()
    expect(door.reply(4096, 0, null, 0, 0)).toBe(-9)
    expect(door.notifyLater(Buffer.alloc(40))).toBe(false)
    expect(door.memory.readUInt32LE(header.magic)).toBe(0x4c534d43)
  })
})
