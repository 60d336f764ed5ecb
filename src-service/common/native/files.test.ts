import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadNative } from './load-native.ts'
import { header, headerSize, layoutMagic, layoutVersion } from './native.ts'

const seekData = 3
const seekHole = 4
/** TMPFS_MAGIC. */
const inMemory = (path: string): boolean => statfsSync(path).type === 0x01021994

describe.skipIf(process.platform !== 'linux')('file and process calls', () => {
  if (process.platform !== 'linux') return
  const native = loadNative()
  let folder: string
  let file: string
  let fd: number

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cloudmoor-files-'))
    file = join(folder, 'file')
    fd = openSync(file, 'w+')
  })

  afterEach(() => {
    closeSync(fd)
    rmSync(folder, { recursive: true, force: true })
  })

  it('creates request memory whose header says what is in it', () => {
    const memoryFd = native.createRequestMemory({ slabCount: 4, slabSize: 16384, slotCount: 8, slotSize: 4096 })
    const page = native.mapHeader(memoryFd)
    expect(page.length).toBe(headerSize)
    const fields = [header.magic, header.layoutVersion, header.slabCount, header.slabSize, header.slotCount, header.slotSize]
    expect(fields.map((at) => page.readUInt32LE(at))).toEqual([layoutMagic, layoutVersion, 4, 16384, 8, 4096])
    expect([page.readUInt32LE(header.slabsOffset), page.readUInt32LE(header.slotsOffset)]).toEqual([4096, 4096 + 4 * 16384])
    expect(fstatSync(memoryFd).size).toBe(4096 + 4 * 16384 + 8 * 4096)
    page.writeUInt32LE(77, header.blamedDeaths)
    expect(native.mapHeader(memoryFd).readUInt32LE(header.blamedDeaths)).toBe(77)
    native.closeFd(memoryFd)
    expect(() => native.createRequestMemory({ slabCount: 4, slabSize: 100, slotCount: 8, slotSize: 4096 })).toThrow(
      expect.objectContaining({ code: 'EINVAL' }),
    )
    expect(() => native.mapHeader(fd)).toThrow(expect.objectContaining({ code: 'EINVAL' }))
  })

  it('refuses a door on memory that is none, and leaks nothing', () => {
    const before = readdirSync('/proc/self/fd').length
    const nothing = () => undefined
    for (const memoryFd of [fd, 99999]) {
      expect(() => native.openDoor({ fuseFd: fd, memoryFd, onRequests: nothing, onClosed: nothing })).toThrow(/openDoor/)
    }
    // @ts-expect-error: not what the type asks for
    expect(() => native.openDoor({ fuseFd: fd, memoryFd: fd, onRequests: nothing })).toThrow('onClosed must be a function')
    // @ts-expect-error: not what the type asks for
    expect(() => native.openDoor()).toThrow(TypeError)
    expect(readdirSync('/proc/self/fd').length).toBe(before)
  })

  it('reads from the page cache, or says that it would wait', () => {
    writeSync(fd, 'hello world')
    const target = Buffer.alloc(16)
    const got = native.readNow(fd, target, 2, 5, 6)
    if (got > 0) expect(target.toString('latin1', 0, 7)).toBe('\0\0world')
    else expect([-11, -95]).toContain(got)
    expect(native.readNow(99999, target, 0, 1, 0)).toBe(-9)
    expect(() => native.readNow(fd, target, 10, 10, 0)).toThrow(RangeError)
    expect(native.readNow(fd, target, 0, 1, -1)).toBe(-22)
  })

  it('has the page cache let go of what is clean', async () => {
    writeSync(fd, Buffer.alloc(1 << 20, 7))
    fsyncSync(fd)
    const target = Buffer.alloc(1 << 20)
    const cached = native.readNow(fd, target, 0, target.length, 0)
    await native.dropPages(fd, 0, 1 << 20)
    // A file system in memory keeps its pages.
    if (cached === target.length && !inMemory(folder)) expect(native.readNow(fd, target, 0, target.length, 0)).toBeLessThan(target.length)
    expect(readSync(fd, target, 0, target.length, 0)).toBe(target.length)
    expect(target.equals(Buffer.alloc(1 << 20, 7))).toBe(true)
    await expect(native.dropPages(99999, 0, 1)).rejects.toMatchObject({ code: 'EBADF' })
  })

  it('allocates, finds data and holes, copies ranges', async () => {
    writeSync(fd, Buffer.alloc(4096, 1), 0, 4096, 1 << 20)
    expect(native.seek(fd, 0, seekData)).toBe(1 << 20)
    expect(native.seek(fd, 0, seekHole)).toBe(0)
    expect(native.seek(fd, 4 << 20, seekData)).toBe(-6)
    await native.fallocate(fd, 0, 0, 8 << 20)
    expect(fstatSync(fd).size).toBe(8 << 20)
    await expect(native.fallocate(fd, 0, 0, -1)).rejects.toMatchObject({ code: 'EINVAL', message: 'fallocate: invalid argument' })
    const other = openSync(join(folder, 'other'), 'w+')
    expect(await native.copyRange(fd, 1 << 20, other, 10, 4096)).toBe(4096)
    expect(readFileSync(join(folder, 'other')).equals(Buffer.concat([Buffer.alloc(10), Buffer.alloc(4096, 1)]))).toBe(true)
    expect(await native.copyRange(fd, (8 << 20) - 5, other, 0, 100)).toBe(5)
    const cloned = await native.cloneFile(fd, other).then(
      () => 'done',
      (error: unknown) => (error as { code: string }).code,
    )
    expect(['done', 'EOPNOTSUPP', 'EXDEV', 'EINVAL', 'ENOTTY']).toContain(cloned)
    closeSync(other)
  })

  it('sets times to the nanosecond, also of a link', async () => {
    const link = join(folder, 'link')
    symlinkSync('nowhere', link)
    await native.setTimes(Buffer.from(link), { atimeSec: 5, atimeNsec: 1, mtimeSec: 1_700_000_000, mtimeNsec: 999_999_999 })
    expect(lstatSync(link, { bigint: true }).mtimeNs).toBe(1_700_000_000_999_999_999n)
    await expect(native.setTimes(join(folder, 'absent'), { atimeSec: 0, atimeNsec: 0, mtimeSec: 0, mtimeNsec: 0 })).rejects.toMatchObject({
      code: 'ENOENT',
      message: `utimensat ${join(folder, 'absent')}: no such file or directory`,
    })
  })

  it('renames, and never takes a name that is there', async () => {
    symlinkSync('a', join(folder, 'from'))
    symlinkSync('b', join(folder, 'taken'))
    await expect(native.renameNew(Buffer.from(join(folder, 'from')), join(folder, 'taken'))).rejects.toMatchObject({ code: 'EEXIST' })
    await native.renameNew(join(folder, 'from'), join(folder, 'to'))
    expect(readlinkSync(join(folder, 'to'))).toBe('a')
    await expect(native.renameNew(join(folder, 'from'), join(folder, 'other'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('makes nodes', async () => {
    await native.mknod(join(folder, 'fifo'), 0o010644, 0, 0)
    expect(lstatSync(join(folder, 'fifo')).isFIFO()).toBe(true)
    await expect(native.mknod(join(folder, 'fifo'), 0o010644, 0, 0)).rejects.toMatchObject({ code: 'EEXIST' })
  })

  it('keeps extended attributes', async (context) => {
    try {
      await native.setAttribute(file, 'user.one', Buffer.from([0, 255, 0]))
    } catch (error) {
      if ((error as { code?: string }).code === 'EOPNOTSUPP') context.skip('no extended attributes in the temporary folder')
      throw error
    }
    expect(await native.getAttribute(file, 'user.one')).toEqual(Buffer.from([0, 255, 0]))
    await native.setAttribute(file, 'user.two', Buffer.alloc(0))
    expect(await native.getAttribute(file, 'user.two')).toEqual(Buffer.alloc(0))
    expect(await native.getAttribute(file, 'user.three')).toBeNull()
    expect((await native.listAttributes(file)).filter((name) => name.startsWith('user.')).sort()).toEqual(['user.one', 'user.two'])
    await native.removeAttribute(file, 'user.one')
    await expect(native.removeAttribute(file, 'user.one')).rejects.toMatchObject({ code: 'ENODATA' })
    await expect(native.listAttributes(join(folder, 'absent'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('receives a descriptor over a stream socket', async () => {
    const [ours, theirs] = native.socketPair()
    const script = `import socket,array,os
s=socket.socket(fileno=3)
s.sendmsg([b'f'],[(socket.SOL_SOCKET,socket.SCM_RIGHTS,array.array('i',[os.open('/etc/hostname',os.O_RDONLY)]))])`
    const child = spawn('python3', ['-c', script], { stdio: ['ignore', 'inherit', 'inherit', theirs] })
    const received = await native.receiveFd(ours)
    expect(fstatSync(received).isFile()).toBe(true)
    native.closeFd(received)
    native.closeFd(theirs)
    if (child.exitCode === null) await once(child, 'exit')
    await expect(native.receiveFd(ours)).rejects.toMatchObject({ code: 'ECONNRESET' })
    native.closeFd(ours)
  })

  it('says why it cannot mount', async () => {
    const options = { source: 'cloudmoor:x', allowOther: false, readOnly: false, maxRead: 131072 }
    await expect(native.mountDirect(join(folder, 'absent'), options)).rejects.toThrow(/^mount .*absent: /)
    await expect(native.unmount(join(folder, 'absent'), 0)).rejects.toMatchObject({
      code: expect.stringMatching(/^(ENOENT|EPERM)$/) as string,
    })
    // @ts-expect-error: not what the type asks for
    expect(() => native.mountDirect(folder, { source: 'x' })).toThrow('allowOther must be true or false')
  })

  it('knows whether a process has ended, and leaves its exit to its parent', async () => {
    expect(native.isGone(process.pid)).toBe(false)
    const child = spawn('sh', ['-c', 'read line; exit 3'], { stdio: ['pipe', 'ignore', 'ignore'] })
    const pid = child.pid ?? 0
    expect(native.isGone(pid)).toBe(false)
    const exit = once(child, 'exit')
    child.stdin.end('\n')
    while (!native.isGone(pid)) await new Promise((resolve) => setImmediate(resolve))
    expect(await exit).toEqual([3, null])
    expect(native.isGone(pid)).toBe(true)
  })

  it('drops the rights of every thread, the pool and the one that blocks signals included', async () => {
    const source = `
      const { loadNative } = await import(${JSON.stringify(join(import.meta.dirname, 'load-native.ts'))})
      const { readdirSync, readFileSync } = await import('node:fs')
      const { readFile } = await import('node:fs/promises')
      await readFile('/etc/hostname')
      const native = loadNative()
      native.dropCapabilities()
      native.forbidCore()
      native.setProcessName('cloudmoor-test')
      await readFile('/etc/hostname')
      const threads = readdirSync('/proc/self/task').map(id => readFileSync('/proc/self/task/' + id + '/status', 'utf8'))
      const clean = threads.filter(text => /CapPrm:\\s0{16}\\nCapEff:\\s0{16}\\n/.test(text) && /NoNewPrivs:\\s1/.test(text))
      console.log(threads.length > 4, threads.length - clean.length, native.canMount(), readFileSync('/proc/self/comm', 'utf8').trim())`
    const program = ['--experimental-strip-types', '--disable-warning=ExperimentalWarning', '--input-type=module', '-e', source]
    const { stdout } = await promisify(execFile)(process.execPath, program, { timeout: 10_000 })
    expect(stdout).toBe('true 0 false cloudmoor-test\n')
  })

  it('duplicates and closes descriptors', () => {
    writeFileSync(file, 'abc')
    const copy = native.dupFd(fd)
    expect(fstatSync(copy).ino).toBe(fstatSync(fd).ino)
    native.closeFd(copy)
    expect(() => {
      native.closeFd(copy)
    }).toThrow(expect.objectContaining({ code: 'EBADF', message: 'close: bad file descriptor' }))
  })
})
