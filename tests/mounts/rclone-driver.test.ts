/** The driver `rclone`: the drive's WebDAV door, and a real mount of it. */
import { mkdtemp, mkdir, readdir, readFile, rename, rm, stat, unlink, utimes, writeFile } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { systemClock } from '../../src-service/common/clock.ts'
import { mountRclone } from '../../src-service/control/mounts/drivers/rclone.ts'
import { mountedAt, readMountTable } from '../../src-service/control/mounts/mount-table.ts'
import { openDavDoor } from '../../src-service/drive/dav/dav-door.ts'
import { openJournaled } from '../fuse/journal.ts'
import { findRcloneProgram } from '../servers/rclone.ts'
import { localCloud } from '../support/clouds.ts'
import { Installation, run, signal } from '../support/installation.ts'

const found = await findRcloneProgram()
const linux = process.platform === 'linux'
const token = randomBytes(16).toString('hex')

const utc = (seconds: number) => new Date(seconds * 1000).toUTCString()

/** A folder that is gone afterwards. */
async function scratch(all: AsyncDisposableStack): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cm-rclone-'))
  all.defer(() => rm(folder, { recursive: true, force: true }))
  return folder
}

async function openDoor(all: AsyncDisposableStack, folder: string) {
  const { filesystem, requestLog } = openJournaled(folder)
  const door = await openDavDoor({
    filesystem,
    requestLog,
    uid: 0,
    gid: 0,
    token,
    port: 0,
    readMs: 5000,
    underWay: new Set(),
    log: () => undefined,
  })
  all.defer(() => door.close())
  const url = (path: string) => `http://127.0.0.1:${door.port}${path}`
  const ask = (method: string, path: string, more: { readonly headers?: Record<string, string>; readonly body?: string } = {}) =>
    fetch(url(path), { method, ...more, headers: { authorization: `Bearer ${token}`, ...more.headers } })
  return { door, url, ask }
}

describe('the WebDAV door', () => {
  test('opens to its token only', async () => {
    await using all = new AsyncDisposableStack()
    const { url } = await openDoor(all, await scratch(all))
    for (const headers of [{}, { authorization: 'Bearer wrong' }, { authorization: `Basic ${token}` }] as Record<string, string>[]) {
      expect((await fetch(url('/'), { method: 'PROPFIND', headers })).status).toBe(401)
    }
  })

  test('serves files, ranges, folders and moves', async () => {
    await using all = new AsyncDisposableStack()
    const { ask, url } = await openDoor(all, await scratch(all))
    expect((await ask('MKCOL', '/a%20b')).status).toBe(201)
    expect((await ask('MKCOL', '/a%20b')).status).toBe(405)
    expect((await ask('PUT', '/a%20b/x', { body: '0123456789', headers: { 'x-oc-mtime': '1000000000' } })).status).toBe(201)
    expect((await ask('PUT', '/absent/x', { body: 'x' })).status).toBe(404)
    const part = await ask('GET', '/a%20b/x', { headers: { range: 'bytes=2-4' } })
    expect([part.status, part.headers.get('content-range'), await part.text()]).toEqual([206, 'bytes 2-4/10', '234'])
    const tail = await ask('GET', '/a%20b/x', { headers: { range: 'bytes=-3' } })
    expect([tail.status, await tail.text()]).toEqual([206, '789'])
    expect((await ask('GET', '/a%20b/x', { headers: { range: 'bytes=10-' } })).status).toBe(416)
    const listed = await (await ask('PROPFIND', '/a%20b', { headers: { depth: '1' } })).text()
    expect([...listed.matchAll(/<D:href>([^<]*)</g)].map((match) => match[1])).toEqual(['/a%20b/', '/a%20b/x'])
    expect(listed).toContain('<D:getcontentlength>10</D:getcontentlength><D:getlastmodified>Sun, 09 Sep 2001 01:46:40 GMT')
    const propset = (name: string) => `<propertyupdate xmlns="DAV:"><set><prop><${name}>1500000000</${name}></prop></set></propertyupdate>`
    expect((await ask('PROPPATCH', '/a%20b/x', { body: propset('lastmodified') })).status).toBe(207)
    expect((await ask('HEAD', '/a%20b/x')).headers.get('last-modified')).toBe(utc(1.5e9))
    expect((await ask('PROPPATCH', '/a%20b/x', { body: propset('displayname') })).status).toBe(403)
    expect((await ask('PROPPATCH', '/a%20b/x', { body: 'x'.repeat(20_000) })).status).toBe(413)
    await ask('PUT', '/y', { body: 'y' })
    expect((await ask('MOVE', '/y', { headers: { destination: url('/a%20b/x'), overwrite: 'F' } })).status).toBe(412)
    expect((await ask('MOVE', '/y', { headers: { destination: url('/a%20b/x') } })).status).toBe(204)
    expect(await (await ask('GET', '/a%20b/x')).text()).toBe('y')
    expect((await ask('DELETE', '/a%20b')).status).toBe(409)
    expect((await ask('DELETE', '/a%20b/x')).status).toBe(204)
    expect((await ask('DELETE', '/a%20b')).status).toBe(204)
    expect((await ask('GET', '/a%20b/x')).status).toBe(404)
    for (const path of ['/..%2fx', '/a%00b']) expect((await ask('PUT', path, { body: 'x' })).status).toBeGreaterThanOrEqual(400)
  })

  test('an upload that breaks off leaves the file as it was, and nothing else', async () => {
    await using all = new AsyncDisposableStack()
    const { ask, url } = await openDoor(all, await scratch(all))
    await ask('PUT', '/file', { body: 'whole' })
    const stopping = new AbortController()
    const body = new ReadableStream({
      async pull(controller) {
        controller.enqueue(new Uint8Array(10_000))
        await sleep(20)
        stopping.abort()
      },
    })
    const headers = { authorization: `Bearer ${token}` }
    await expect(fetch(url('/file'), { method: 'PUT', headers, body, signal: stopping.signal, duplex: 'half' })).rejects.toThrow()
    await expect
      .poll(async () => [...(await (await ask('PROPFIND', '/')).text()).matchAll(/<D:href>([^<]*)</g)].map((match) => match[1]))
      .toEqual(['/', '/file'])
    expect(await (await ask('GET', '/file')).text()).toBe('whole')
  })
})

describe.runIf('path' in found)('rclone', () => {
  const program = 'path' in found ? found.path : ''

  test('mounts the door: files are written, read back, renamed and removed', { timeout: 60_000 }, async () => {
    await using all = new AsyncDisposableStack()
    const folder = await scratch(all)
    const { door, ask } = await openDoor(all, folder)
    const path = join(folder, 'mount')
    // Windows makes the mount point itself.
    if (process.platform !== 'win32') await mkdir(path)
    const options = {
      ...{
        mountId: 'smoke',
        path,
        source: 'cloudmoor:smoke',
        port: door.port,
        token,
        cacheFolder: join(folder, 'cache'),
        runFolder: folder,
      },
      ...{ allowOther: false, readOnly: false, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, umask: 0o022 },
    }
    const child = await mountRclone(program, options, systemClock)
    all.defer(() => child.stop(10_000))
    const contents = randomBytes(3_000_000)
    await writeFile(join(path, 'one'), contents)
    expect((await readFile(join(path, 'one'))).equals(contents)).toBe(true)
    await expect.poll(async () => (await ask('HEAD', '/one')).headers.get('content-length'), { timeout: 10_000 }).toBe('3000000')
    await mkdir(join(path, 'folder'))
    await rename(join(path, 'one'), join(path, 'folder', 'two'))
    expect(await readdir(path)).toEqual(['folder'])
    expect((await (await ask('GET', '/folder/two')).arrayBuffer()).byteLength).toBe(3_000_000)
    await unlink(join(path, 'folder', 'two'))
    expect((await ask('GET', '/folder/two')).status).toBe(404)
    expect((await readdir(folder)).filter((name) => name.endsWith('.conf'))).toEqual([])

    // Renamed while rclone sends it, and before; touched before, and after.
    const names = Array.from({ length: 20 }, (_, index) => `file${index}`)
    for (const [index, name] of names.entries()) {
      await writeFile(join(path, name), name)
      if (index % 2 === 0) await utimes(join(path, name), 1e9, 1e9)
      await sleep(index % 4 === 3 ? 100 : 0)
      await rename(join(path, name), join(path, 'folder', name))
    }
    for (const name of names) {
      await expect.poll(async () => (await ask('GET', `/folder/${name}`)).text(), { timeout: 10_000 }).toBe(name)
      await utimes(join(path, 'folder', name), 2e9, 2e9)
    }
    for (const name of names) expect((await ask('HEAD', `/folder/${name}`)).headers.get('last-modified')).toBe(utc(2e9))
  })

  test.runIf(linux)('is a mount like any other: worker killed, rclone killed, secrets kept, unmounted', { timeout: 120_000 }, async () => {
    await using all = new AsyncDisposableStack()
    const cloud = all.use(await localCloud())
    const installation = all.use(await Installation.create())
    installation.env['PATH'] = `${dirname(program)}:${process.env['PATH'] ?? ''}`
    await installation.account('files', cloud.account)
    const path = await installation.mount('drive', 'files', ['--option', 'driver=rclone', '--option', 'writeBackSeconds=0'])
    const entry = mountedAt(await readMountTable(), path)
    expect([entry?.type, entry?.source]).toEqual(['fuse.rclone', 'cloudmoor:drive'])

    await mkdir(join(path, 'folder'))
    const contents = randomBytes(2_000_000)
    await writeFile(join(path, 'folder', 'big'), contents)
    await writeFile(join(path, 'small'), 'small')
    await utimes(join(path, 'small'), 1e9, 1e9)
    await rename(join(path, 'small'), join(path, 'renamed'))

    const rclones = await rcloneProcesses(path)
    expect(rclones).toHaveLength(1)
    const [rclone = { pid: 0, secrets: '' }] = rclones
    expect(rclone.secrets).not.toMatch(/[0-9a-f]{64}/)
    expect((await readdir(join(installation.home, 'run'))).filter((name) => name.endsWith('.conf'))).toEqual([])

    // What rclone has not yet handed over is in its own hands only.
    const kept = cloud.folder ?? ''
    await expect.poll(async () => (await readdir(kept)).sort(), { timeout: 30_000 }).toEqual(['folder', 'renamed'])
    const { pid } = await installation.mountStatus('drive')
    signal(pid, 'SIGKILL')
    expect(await readFile(join(path, 'renamed'), 'utf8')).toBe('small')
    await writeFile(join(path, 'after'), 'written by the next worker')
    await expect.poll(async () => (await installation.mountStatus('drive')).pid, { timeout: 10_000 }).not.toBe(pid)

    // It had been closed, and was in rclone's hands.
    signal(rclone.pid, 'SIGKILL')
    await expect.poll(async () => readdir(path).catch(() => []), { timeout: 20_000 }).toEqual(['after', 'folder', 'renamed'])
    expect((await readFile(join(path, 'folder', 'big'))).equals(contents)).toBe(true)

    await writeFile(join(path, 'last'), 'right before it is unmounted')
    await rename(join(path, 'last'), join(path, 'end'))
    await installation.cloudmoor(['unmount', 'drive'])
    expect(mountedAt(await readMountTable(), path)).toBeUndefined()
    expect(await rcloneProcesses(path)).toEqual([])
    const there = cloud.folder ?? ''
    expect((await readdir(there)).sort()).toEqual(['after', 'end', 'folder', 'renamed'])
    expect(await readFile(join(there, 'after'), 'utf8')).toBe('written by the next worker')
    expect((await readFile(join(there, 'folder', 'big'))).equals(contents)).toBe(true)
    expect((await stat(join(there, 'renamed'))).size).toBe(5)
  })

  test.runIf(linux)('a service without rclone says what is missing', { timeout: 60_000 }, async () => {
    await using all = new AsyncDisposableStack()
    const cloud = all.use(await localCloud())
    const installation = all.use(await Installation.create())
    const node = dirname(process.execPath)
    installation.env['PATH'] = `${node}:/usr/bin:/bin`
    await installation.account('files', cloud.account)
    await mkdir(join(installation.folder, 'mnt'))
    await installation.cloudmoor([
      'mount',
      'add',
      'drive',
      '--provider',
      'files',
      '--path',
      join(installation.folder, 'mnt'),
      '--option',
      'driver=rclone',
    ])
    const outcome = await installation.attempt(['mount', 'drive'])
    expect(outcome.code).not.toBe(0)
    expect(outcome.stderr).toMatch(/rclone is not on the PATH[\s\S]*Install rclone 1\.65/)
    expect((await installation.attempt(['doctor'])).stdout).toMatch(/rclone +.*not on the PATH/)
  })
})

/** Those that mount this path, with their arguments and environment. */
async function rcloneProcesses(path: string): Promise<readonly { readonly pid: number; readonly secrets: string }[]> {
  const { stdout } = await run('/bin/bash', ['-c', `grep -la -- "${path}" /proc/[0-9]*/cmdline 2>/dev/null || true`])
  const pids = stdout.split('\n').flatMap((line) => /\/proc\/(\d+)\//.exec(line)?.[1] ?? [])
  const all = await Promise.all(
    pids.map(async (pid) => {
      const read = (file: string) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')
      return { pid: Number(pid), line: await read('cmdline'), environment: await read('environ') }
    }),
  )
  return all.flatMap(({ pid, line, environment }) =>
    /^[^\0]*rclone\0(nfs)?mount\0/.test(line) ? [{ pid, secrets: line + environment }] : [],
  )
}
