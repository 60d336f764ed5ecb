import { expect, test } from 'vitest'
import { eventually, localDrive, outcome, shell } from './fixture.ts'

const minute = { timeout: 180_000 }

interface FileJson {
  readonly name: string
  readonly state: string
  readonly size: number
  readonly localBytes: number
}

test('Said to be safe is safe', minute, async () => {
  await using drive = await localDrive(['--option', 'writeBackSeconds=3600'])
  const { installation, mount, cloud } = drive
  await shell(`echo one > "${mount}/f"`)
  const before = await installation.attempt(['transfers', 'confirm', '--json'])
  expect(before.code).toBe(1)
  expect(JSON.parse(before.stdout)).toMatchObject({ onDisk: true, uploaded: false, mounts: [{ pendingFiles: 1, pendingBytes: 4 }] })
  // A mount that is not mounted counts too: its queue is kept when the cloud is away.
  await shell(`mv "${cloud}" "${cloud}.away"`)
  await installation.cloudmoor(['unmount', 'drive'], { timeoutMs: 120_000 })
  const { service } = JSON.parse(await installation.cloudmoor(['status', '--json'])) as {
    service: { queue: unknown; queueComplete: boolean }
  }
  expect(service).toMatchObject({ queue: { files: 1, bytes: 4 }, queueComplete: true })
  const away = await installation.attempt(['transfers', 'confirm', '--json'])
  expect(JSON.parse(away.stdout)).toMatchObject({ onDisk: true, uploaded: false, mounts: [{ pendingFiles: 1 }] })
  await shell(`mv "${cloud}.away" "${cloud}"`)
  await installation.cloudmoor(['mount', 'drive'])
  await installation.cloudmoor(['unmount', 'drive'])
  expect(JSON.parse(await installation.cloudmoor(['transfers', 'confirm', '--json']))).toMatchObject({ onDisk: true, uploaded: true })
  await shell(`test "$(cat "${cloud}/f")" = one`)
})

test('Files are looked after without the mounted folder', minute, async () => {
  await using drive = await localDrive(['--option', 'writeBackSeconds=0'])
  const { installation, mount, cloud } = drive
  const list = async (...args: string[]): Promise<readonly FileJson[]> =>
    (JSON.parse(await installation.cloudmoor(['files', ...args, '--json'])) as { files: FileJson[] }).files
  await shell(`mkdir "${cloud}/d"; head -c 200000 /dev/urandom > "${cloud}/d/far"; echo old > "${cloud}/d/old"`)
  expect((await list('ls', `${mount}/d`)).map(({ name, state, localBytes }) => [name, state, localBytes])).toEqual([
    ['far', 'online', 0],
    ['old', 'online', 0],
  ])
  // Pinned: fetched behind, also what comes later, and kept when the cache is cleared.
  await installation.cloudmoor(['files', 'pin', `${mount}/d`])
  await expect
    .poll(async () => (await list('ls', `${mount}/d`)).map(({ state, localBytes, size }) => state === 'pinned' && localBytes >= size))
    .toEqual([true, true])
  expect(await installation.cloudmoor(['cache', 'clear', 'drive'])).toContain('2 files stay')
  expect(JSON.parse(await installation.cloudmoor(['cache', 'show', 'drive', '--json']))).toMatchObject({ dirtyBytes: 0 })
  await installation.cloudmoor(['files', 'free', `${mount}/d/far`])
  expect((await list('search', mount, 'FA')).map(({ name, state, localBytes }) => [name, state, localBytes])).toEqual([
    ['far', 'online', 0],
  ])
  // The kernel knows the names; it is told of what happens to them.
  await shell(`ls -l "${mount}/d" > /dev/null`)
  await installation.cloudmoor(['files', 'mv', `${mount}/d/old`, `${mount}/new`])
  expect((await installation.attempt(['files', 'mv', `${mount}/d/far`, `${mount}/new`])).code).toBe(5)
  await shell(`test ! -e "${mount}/d/old"; test "$(cat "${mount}/new")" = old`)
  expect((await installation.attempt(['files', 'rm', `${mount}/d`])).code).toBe(5)
  await installation.cloudmoor(['files', 'rm', '-r', `${mount}/d`])
  expect((await outcome(`ls "${mount}"`)).text).toBe('new\n')
  await eventually(`test "$(ls "${cloud}")" = new`, 20_000)
  // What is changed is never freed.
  await shell(`mv "${cloud}" "${cloud}.away"; echo changed > "${mount}/new"`)
  expect(await installation.cloudmoor(['files', 'free', `${mount}/new`])).toContain('1 file stay')
  await shell(`test "$(cat "${mount}/new")" = changed; mv "${cloud}.away" "${cloud}"`)
  await installation.cloudmoor(['unmount', 'drive'])
  expect((await list('ls', mount)).map(({ name }) => name)).toEqual(['new'])
})
