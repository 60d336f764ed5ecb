import { expect, test } from 'vitest'
import type { Installation } from '../support/installation.ts'
import { localDrive, outcome, shell, sleep } from './fixture.ts'

const minute = { timeout: 180_000 }

interface ConflictJson {
  readonly id: string
  readonly path: string
  readonly kind: string
  readonly mine: { readonly path: string; readonly size: number }
  readonly theirs: { readonly path: string; readonly size: number } | null
}

async function conflictsOf(installation: Installation): Promise<readonly ConflictJson[]> {
  const { conflicts } = JSON.parse(await installation.cloudmoor(['conflicts', 'list', '--json'])) as { conflicts: ConflictJson[] }
  return conflicts
}

test('You choose which version stays', minute, async () => {
  await using drive = await localDrive(['--option', 'writeBackSeconds=2'])
  const { installation, mount, cloud } = drive
  const names = ['mine', 'theirs', 'both']
  await shell(names.map((name) => `echo base > "${mount}/${name}.txt"`).join('\n'))
  await installation.uploaded('drive')
  await shell(names.map((name) => `echo ours > "${mount}/${name}.txt"; echo theirs, longer > "${cloud}/${name}.txt"`).join('\n'))
  await installation.uploaded('drive')
  const found = await conflictsOf(installation)
  expect(found.map(({ path, kind, mine, theirs }) => [path, kind, mine.size, theirs?.size]).sort()).toEqual(
    names.map((name) => [`${name}.txt`, 'both-changed', 5, 15]).sort(),
  )
  expect(await installation.cloudmoor(['transfers'])).toContain('cloudmoor conflicts resolve drive')
  expect((await installation.attempt(['transfers', 'confirm'])).code).toBe(1)
  for (const keep of names) {
    const { id } = found.find(({ path }) => path === `${keep}.txt`) ?? { id: '' }
    await installation.cloudmoor(['conflicts', 'resolve', 'drive', id, '--keep', keep])
  }
  expect(await conflictsOf(installation)).toEqual([])
  // The kernel was told: nothing of the old names is served from its memory.
  await shell(
    `test "$(cat "${mount}/mine.txt")" = ours; test "$(cat "${mount}/theirs.txt")" = 'theirs, longer'; test "$(ls "${mount}" | wc -l)" = 4`,
  )
  await installation.uploaded('drive')
  await shell(`test "$(cat "${cloud}/mine.txt")" = ours; test "$(cat "${cloud}/theirs.txt")" = 'theirs, longer'`)
  await shell(
    `test "$(cat "${cloud}/both.txt")" = 'theirs, longer'; test "$(cat "${cloud}/both (conflict "*.txt)" = ours; test "$(ls "${cloud}" | wc -l)" = 4`,
  )
  expect(JSON.parse(await installation.cloudmoor(['transfers', 'confirm', '--json']))).toMatchObject({ onDisk: true, uploaded: true })
  expect((await installation.attempt(['conflicts', 'resolve', 'drive', 'c1', '--keep', 'mine'])).code).toBe(4)
})

test('What was never synced waits for you after a power loss', minute, async () => {
  await using drive = await localDrive(['--option', 'writeBackSeconds=3600'])
  const { installation, mount, cloud } = drive
  const names = ['mine', 'theirs', 'both']
  await shell(`mkdir "${mount}/d"; ${names.map((name) => `echo base > "${mount}/d/${name}.txt"`).join('; ')}; sync "${mount}"/d/*`)
  // On the way out everything is uploaded.
  await installation.cloudmoor(['unmount', 'drive'])
  await installation.cloudmoor(['mount', 'drive'])
  await installation.uploaded('drive', 60_000)
  const { service } = await installation.status()
  const { pid } = await installation.mountStatus('drive')
  await shell(`${names.map((name) => `printf unproved > "${mount}/d/${name}.txt"`).join('; ')}; printf new > "${mount}/d/new"`)
  process.kill(service?.pid ?? 0, 'SIGKILL')
  process.kill(pid, 'SIGKILL')
  await sleep(300)
  await shell(`umount -l "${mount}" 2>/dev/null || true`)
  const bootId = `${installation.folder}/boot_id`
  await shell(`echo 11111111-2222-3333-4444-555555555555 > "${bootId}"`)
  // A mount namespace of its own in which the machine seems to have been started anew.
  installation.wrapper = [
    'unshare',
    '--mount',
    '--propagation',
    'unchanged',
    '/bin/sh',
    '-c',
    'mount --make-private /proc && mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"',
    bootId,
  ]
  await installation.cloudmoor(['service', 'start'])
  installation.wrapper = []
  await expect.poll(async () => (await installation.mountStatus('drive')).state, { timeout: 30_000 }).toBe('mounted')
  const found = await conflictsOf(installation)
  expect(found.map(({ path, kind, mine, theirs }) => [path, kind, mine.size, theirs?.size]).sort()).toEqual([
    ['d/both.txt', 'unproved', 8, 5],
    ['d/mine.txt', 'unproved', 8, 5],
    ['d/new', 'unproved', 3, undefined],
    ['d/theirs.txt', 'unproved', 8, 5],
  ])
  for (const { id, path } of found) {
    const keep = path === 'd/new' ? 'mine' : path.slice(2, -4)
    await installation.cloudmoor(['conflicts', 'resolve', 'drive', id, '--keep', keep])
  }
  expect(await conflictsOf(installation)).toEqual([])
  expect(await shell(`find "${installation.home}" -path '*/quarantine/*'`)).toBe('')
  await installation.cloudmoor(['unmount', 'drive'])
  const look = await outcome(`cd "${cloud}/d"; ls | wc -l; cat new mine.txt theirs.txt both.txt both\\ \\(conflict*`)
  expect(look.text).toBe('5\nnewunprovedbase\nbase\nunproved')
})
