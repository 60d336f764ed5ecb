import { execFileSync, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterEach, expect, test } from 'vitest'
import { blockSize } from './block-map.ts'
import { localDisk } from './disk.ts'
import { Fixture, pattern, signal, until } from '../../../../tests/support/blob-rig.ts'

let fixture: Fixture
afterEach(async () => fixture.end())

/** The process ends here; `lose` is done to the disk; the machine starts again. */
async function powerLoss(lose: () => Promise<void>): Promise<void> {
  await fixture.crash()
  await lose()
  fixture.reopenDatabase()
  fixture.bootId = 'boot-2'
  await fixture.open()
}

const nothing = async (): Promise<void> => undefined

test('one process has the folder; its death frees it', async () => {
  fixture = await Fixture.make()
  const unlock = await localDisk.lock(fixture.folder, 0)
  await expect(localDisk.lock(fixture.folder, 100)).rejects.toMatchObject({ kind: 'busy' })
  unlock()
  const lockIt = `
    import { lockFolder } from ${JSON.stringify(join(import.meta.dirname, 'folder-lock.ts'))}
    await lockFolder(${JSON.stringify(fixture.folder)}, 0)
    process.stdout.write('locked')
    setInterval(() => undefined, 1000)`
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', lockIt], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise((resolve) => child.stdout.once('data', resolve))
  await expect(localDisk.lock(fixture.folder, 100)).rejects.toMatchObject({ kind: 'busy' })
  const waiting = localDisk.lock(fixture.folder, 5000)
  child.kill('SIGKILL')
  ;(await waiting)()
})

test('a process that hangs in the kernel after its death does not keep the folder', async () => {
  fixture = await Fixture.make()
  // As a killed worker looks whose thread waits in the kernel: the main thread is over, the locks are held.
  const source = join(fixture.folder, 'hang.c')
  await writeFile(
    source,
    `#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <unistd.h>
static void *hang(void *nothing) { pause(); return nothing; }
int main(int count, char **words) {
  struct flock reserved = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0x40000001, .l_len = 1};
  int fd = open(words[count - 1], O_RDWR);
  pthread_t thread;
  if (getchar() != '\\n' || fd < 0 || fcntl(fd, F_SETLK, &reserved) < 0 || pthread_create(&thread, NULL, hang, NULL) != 0) return 1;
  puts("locked");
  fflush(stdout);
  pthread_exit(NULL);
}`,
  )
  execFileSync('/usr/bin/env', ['cc', '-o', join(fixture.folder, 'hang'), source, '-lpthread'])
  ;(await localDisk.lock(fixture.folder, 0))()
  const path = join(fixture.folder, 'lock')
  const child = spawn(join(fixture.folder, 'hang'), [path], { stdio: ['pipe', 'pipe', 'inherit'] })
  try {
    const started = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[19]
    const file = new Database(path)
    file.prepare('UPDATE holder SET pid = ?, started = ?').run(child.pid, started)
    file.close()
    child.stdin.write('\n')
    await new Promise((resolve) => child.stdout.once('data', resolve))
    await expect(localDisk.lock(fixture.folder, 100)).rejects.toMatchObject({ kind: 'busy' })
    const unlock = await localDisk.lock(fixture.folder, 5000)
    await expect(localDisk.lock(fixture.folder, 400)).rejects.toMatchObject({ kind: 'busy' })
    unlock()
  } finally {
    child.kill('SIGKILL')
  }
})

test('a newer format is refused', async () => {
  fixture = await Fixture.make()
  await (await fixture.open()).close()
  await writeFile(join(fixture.folder, 'blobs', 'format'), '2\n')
  await expect(fixture.open()).rejects.toMatchObject({ kind: 'unsupported' })
  await writeFile(join(fixture.folder, 'blobs', 'format'), '1\n')
  await fixture.open()
})

test('files without an owner go to lost+found, leftovers of removals go', async () => {
  fixture = await Fixture.make()
  const contents = await fixture.open()
  const node = fixture.newNode()
  await fixture.write(node, 0, Buffer.from('mine'))
  const gone = fixture.remoteNode(pattern(1000, 1))
  await fixture.readAll(gone)
  const left = fixture.blobPath(gone)
  await contents.close()
  await writeFile(join(fixture.folder, 'blobs', '07', '7.77'), 'whose')
  await writeFile(join(fixture.folder, 'snapshots', '1.1.1'), 'copy')
  // A removal that was cut short: the row is there, the node has moved on.
  fixture.database.sql.prepare('UPDATE node SET generation = 0 WHERE id = ?').run(gone)
  await fixture.crash()
  fixture.reopenDatabase()
  await fixture.open()
  await until(() => fixture.logs.some((one) => one.message.includes('lost+found')))
  const found = await readdir(join(fixture.folder, 'lost+found'))
  expect(found).toHaveLength(1)
  expect(found[0]).toMatch(/^7\.77-/)
  await until(() => fixture.database.sql.prepare('SELECT 1 FROM blob WHERE node = ?').get(gone) === undefined)
  await expect(localDisk.factsAt(left)).resolves.toBeUndefined()
  expect(await readdir(join(fixture.folder, 'snapshots'))).toEqual([])
  expect((await fixture.readAll(node)).toString()).toBe('mine')
  expect((await fixture.readAll(gone)).equals(pattern(1000, 1))).toBe(true)
})

test('a dirty file that is gone is a loud fault, a clean one is fetched again', async () => {
  fixture = await Fixture.make()
  await fixture.open()
  const dirty = fixture.newNode()
  await fixture.write(dirty, 0, Buffer.from('mine'))
  const hot = fixture.newNode()
  await fixture.write(hot, 0, Buffer.from('mine'))
  const data = pattern(1000, 1)
  const clean = fixture.remoteNode(data)
  await fixture.readAll(clean)
  fixture.database.transaction(() => {
    fixture.need().settle(dirty)
  })
  const paths = [dirty, clean, hot].map((node) => fixture.blobPath(node))
  await fixture.crash()
  for (const path of paths) await rm(path)
  fixture.reopenDatabase()
  fixture.database.sql.prepare('UPDATE node SET hot = 1 WHERE id = ?').run(hot)
  const contents = await fixture.open()
  expect(contents.start.missing).toContain(hot)
  await until(() => fixture.row(dirty).fault === 'blob_missing')
  expect(fixture.row(hot).fault).toBe('blob_missing')
  expect(fixture.logs.filter((one) => one.level === 'error').length).toBeGreaterThan(1)
  await expect(fixture.read(dirty, 0, 4)).rejects.toMatchObject({ kind: 'damaged' })
  expect((await fixture.readAll(clean)).equals(data)).toBe(true)
})

test('power loss: what was never synced is put aside, and the provider’s version is shown', async () => {
  fixture = await Fixture.make({ closeSyncMs: 1e9 })
  await fixture.open()
  const data = pattern(3 * blockSize, 1)
  const node = fixture.remoteNode(data)
  await fixture.need().fetchAll(node, signal)
  await fixture.write(node, 5, Buffer.from('unproved'))
  const created = fixture.newNode()
  await fixture.write(created, 0, Buffer.from('unproved too'))
  const empty = fixture.newNode()
  await powerLoss(nothing)
  const { start } = fixture.need()
  expect(start.uncleanBoot).toBe(true)
  expect(start.unproved).toHaveLength(2)
  expect(start.unproved.find((one) => one.node === node)).toMatchObject({ now: 'remote', content: fixture.row(node).content })
  expect(start.unproved.find((one) => one.node === created)).toMatchObject({ now: 'nothing' })
  expect(fixture.row(node)).toMatchObject({ fault: 'unproved_after_power_loss', size: data.length, generation: 0, mtime_s: 1000 })
  expect((await fixture.readAll(node)).equals(data)).toBe(true)
  const rows = fixture.database.sql
    // They are looked at side by side: in no order.
    .prepare<[], { path: Buffer; file: string; size: number; reason: string }>('SELECT * FROM quarantine ORDER BY path')
    .all()
  expect(rows.map((row) => row.path.toString())).toEqual([`f${node}`, `f${created}`])
  expect(rows[1]).toMatchObject({ size: 12, reason: 'unproved_after_power_loss' })
  expect((await readdir(join(fixture.folder, 'quarantine'))).sort()).toEqual(rows.map((row) => row.file).sort())
  expect(fixture.database.sql.prepare('SELECT content FROM remote WHERE node = ?').pluck().get(node)).toBe(fixture.row(node).content)
  expect(fixture.row(empty).fault).toBeNull()
  await fixture.write(empty, 0, Buffer.from('goes on'))
})

test('power loss: what was synced once stays, whatever was written later', async () => {
  fixture = await Fixture.make({ closeSyncMs: 1e9 })
  const contents = await fixture.open()
  const node = fixture.remoteNode(pattern(blockSize, 1))
  await fixture.write(node, 0, Buffer.from('proved'))
  await contents.sync(node)
  await fixture.write(node, 0, Buffer.from('later'))
  await powerLoss(nothing)
  expect(fixture.need().start.unproved).toEqual([])
  expect(fixture.row(node).fault).toBeNull()
  expect((await fixture.read(node, 0, 6)).toString()).toBe('laterd')
})

test('power loss: a synced file that came back shorter or not at all is put aside', async () => {
  fixture = await Fixture.make({ closeSyncMs: 1e9 })
  const contents = await fixture.open()
  const short = fixture.newNode()
  const missing = fixture.newNode()
  const cut = fixture.newNode()
  for (const node of [short, missing, cut]) {
    await fixture.write(node, 0, pattern(10_000, node))
    await contents.sync(node)
  }
  await contents.truncate(cut, 500)
  const paths = [short, missing].map((node) => fixture.blobPath(node))
  await powerLoss(async () => {
    await truncate(paths[0] ?? '', 9_999)
    await rm(paths[1] ?? '')
  })
  const unproved = fixture.need().start.unproved.map((one) => [one.node, one.now] as const)
  expect(unproved.toSorted(([a], [b]) => a - b)).toEqual([
    [short, 'nothing'],
    [missing, 'nothing'],
  ])
  expect((await fixture.readAll(cut)).equals(pattern(10_000, cut).subarray(0, 500))).toBe(true)
})

test('power loss: emptied and written anew without a sync, the synced bytes come back', async () => {
  fixture = await Fixture.make({ closeSyncMs: 1e9 })
  const contents = await fixture.open()
  const node = fixture.newNode()
  await fixture.write(node, 0, Buffer.from('promised'))
  await contents.sync(node)
  await contents.truncate(node, 0)
  await fixture.write(node, 0, Buffer.from('new, unproved'))
  await powerLoss(nothing)
  expect(fixture.need().start.unproved).toMatchObject([{ node, now: 'promised' }])
  expect((await fixture.readAll(node)).toString()).toBe('promised')
  expect(fixture.row(node).fault).toBeNull()
  expect(await readdir(join(fixture.folder, 'quarantine'))).toHaveLength(1)
  expect((await fixture.upload(node)).toString()).toBe('promised')
})

test('the promised bytes go when newer ones are proved', async () => {
  fixture = await Fixture.make({ closeSyncMs: 1e9 })
  const contents = await fixture.open()
  const node = fixture.newNode()
  await fixture.write(node, 0, pattern(10_000, 1))
  await contents.sync(node)
  await contents.truncate(node, 0)
  await fixture.write(node, 0, Buffer.from('new'))
  expect(contents.usage().bytes).toBe(12_288 + 4096)
  await fixture.crash()
  fixture.reopenDatabase()
  const again = await fixture.open()
  expect(again.usage().bytes).toBeGreaterThan(12_000)
  await again.sync(node)
  await until(() => again.usage().bytes === 4096)
})

test('power loss: promised bytes that newer proved ones replaced do not come back', async () => {
  fixture = await Fixture.make({ closeSyncMs: 1e9, saveMs: 1e6 })
  const contents = await fixture.open()
  const node = fixture.newNode()
  await fixture.write(node, 0, Buffer.from('promised'))
  await contents.sync(node)
  const path = fixture.blobPath(node)
  await contents.truncate(node, 0)
  await fixture.write(node, 0, Buffer.from('uploaded'))
  await fixture.upload(node)
  await fixture.write(node, 0, Buffer.from('unproved'))
  // That the file was removed may be lost too.
  await powerLoss(() => writeFile(path, 'promised'))
  expect(fixture.need().start.unproved).toMatchObject([{ node, now: 'remote' }])
  expect((await fixture.readAll(node)).toString()).toBe('uploaded')
})

test('power loss: clean blocks that were not synced are fetched again, synced ones stay', async () => {
  fixture = await Fixture.make()
  const contents = await fixture.open()
  const kept = fixture.remoteNode(pattern(2 * blockSize, 1))
  await contents.fetchAll(kept, signal)
  await until(() => fixture.blobRow(kept)?.synced === 1)
  const lost = fixture.remoteNode(pattern(2 * blockSize, 2))
  await contents.fetchAll(lost, signal)
  await until(() => fixture.blobRow(lost)?.whole === 1)
  const path = fixture.blobPath(lost)
  fixture.cleanSyncMs = 1e9
  await fixture.crash()
  fixture.reopenDatabase()
  fixture.database.sql.prepare('UPDATE blob SET synced = 0 WHERE node = ?').run(lost)
  fixture.database.sql.close()
  await writeFile(path, Buffer.alloc(2 * blockSize))
  fixture.reopenDatabase()
  fixture.bootId = 'boot-2'
  await fixture.open()
  fixture.requests.length = 0
  expect((await fixture.readAll(kept)).equals(pattern(2 * blockSize, 1))).toBe(true)
  expect((await fixture.readAll(lost)).equals(pattern(2 * blockSize, 2))).toBe(true)
  expect(fixture.requests.map((one) => one.node)).toEqual([lost])
})

test('after a crash without power loss nothing is put aside', async () => {
  fixture = await Fixture.make({ closeSyncMs: 1e9 })
  await fixture.open()
  const node = fixture.newNode()
  await fixture.write(node, 0, Buffer.from('here'))
  await fixture.crash()
  fixture.reopenDatabase()
  await fixture.open()
  expect(fixture.need().start).toMatchObject({ uncleanBoot: false, unproved: [], missing: [] })
  expect((await fixture.readAll(node)).toString()).toBe('here')
})
