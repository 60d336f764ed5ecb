import { expect, test } from 'vitest'
import { eventually, localDrive, outcome, shell, sleep } from './fixture.ts'

const minute = { timeout: 120_000 }

test('close survives a crash of CloudMoor', minute, async () => {
  await using drive = await localDrive(['--option', 'writeBackSeconds=3600'])
  const { installation, mount } = drive
  await shell(`head -c 300000 /dev/urandom > "${mount}/f"; sha256sum < "${mount}/f" > "${installation.folder}/sum"`)
  const { service } = await installation.status()
  const { pid } = await installation.mountStatus('drive')
  process.kill(pid, 'SIGKILL')
  await shell(`test "$(sha256sum < "${mount}/f")" = "$(cat "${installation.folder}/sum")"`)
  const again = await installation.mountStatus('drive')
  process.kill(service?.pid ?? 0, 'SIGKILL')
  process.kill(again.pid, 'SIGKILL')
  await installation.cloudmoor(['service', 'start'])
  await eventually(`test "$(sha256sum < "${mount}/f")" = "$(cat "${installation.folder}/sum")"`, 20_000)
  expect((await installation.mountStatus('drive')).queue?.files).toBe(1)
})

test('fsync survives a power loss', minute, async () => {
  // The disk's side is tested with real file systems in tests/faults; here: what an unproved file becomes after a boot.
  await using drive = await localDrive(['--option', 'writeBackSeconds=3600'])
  const { installation, mount } = drive
  const { service } = await installation.status()
  const { pid } = await installation.mountStatus('drive')
  // At once: some seconds after its last close a file is synced in any case.
  await shell(`printf kept > "${mount}/fsynced"; sync "${mount}/fsynced"; printf lost > "${mount}/never"`)
  process.kill(service?.pid ?? 0, 'SIGKILL')
  process.kill(pid, 'SIGKILL')
  await sleep(300)
  await shell(`umount -l "${mount}" 2>/dev/null || true`)
  const bootId = `${installation.folder}/boot_id`
  await shell(`echo 11111111-2222-3333-4444-555555555555 > "${bootId}"`)
  // A mount namespace of its own in which the machine seems to have been started anew.
  const inNewBoot = `mount --bind "${bootId}" /proc/sys/kernel/random/boot_id && export CLOUDMOOR_HOME="${installation.home}" && cd "$ROOT"`
  const result = await outcome(
    `ROOT="$(pwd)" unshare -m bash --norc -euxc '${inNewBoot}; bin/cloudmoor service start; for i in $(seq 50); do [ "$(cat "${mount}/fsynced" 2>/dev/null)" = kept ] && break; sleep 0.2; done
     test "$(cat "${mount}/fsynced")" = kept; test ! -e "${mount}/never"; grep -rl lost "${installation.home}" | grep -q quarantine; bin/cloudmoor service stop'`.replace(
      'ROOT="$(pwd)"',
      `ROOT="${process.cwd()}"`,
    ),
    90_000,
  )
  expect(result, result.text).toMatchObject({ code: 0 })
})

test('fsync=remote waits for the provider', minute, async () => {
  await using drive = await localDrive(['--option', 'fsync=remote', '--option', 'writeBackSeconds=3600'])
  await shell(`dd if=/dev/urandom of="${drive.mount}/f" bs=100k count=3 conv=fsync status=none; cmp "${drive.mount}/f" "${drive.cloud}/f"`)
})

test('A file is uploaded as one version', minute, async () => {
  await using drive = await localDrive(['--option', 'writeBackSeconds=0'])
  const writer = shell(
    `for i in $(seq 1 25); do c=$(printf "\\\\$(printf %03o $((65 + i)))"); head -c 3000000 /dev/zero | tr '\\0' "$c" > "${drive.mount}/f"; sleep 0.1; done`,
  )
  let seen = 0
  const progress = { ended: false }
  void writer.then(() => (progress.ended = true))
  while (!progress.ended) {
    const { text } = await outcome(
      `test ! -s "${drive.cloud}/f" || { cp "${drive.cloud}/f" "${drive.installation.folder}/copy" && fold -w1 < /dev/null; head -c 1 "${drive.installation.folder}/copy"; tr -d "$(head -c 1 "${drive.installation.folder}/copy")" < "${drive.installation.folder}/copy" | wc -c; }`,
    )
    if (text === '') continue
    seen++
    expect(text.slice(1).trim()).toBe('0')
  }
  await writer
  await drive.installation.uploaded('drive')
  expect(seen).toBeGreaterThan(0)
  await shell(`cmp "${drive.mount}/f" "${drive.cloud}/f"`)
})

test('Both sides of a conflict survive', minute, async () => {
  await using drive = await localDrive(['--option', 'writeBackSeconds=2'])
  await shell(`echo base > "${drive.mount}/f.txt"`)
  await drive.installation.uploaded('drive')
  await shell(`echo ours > "${drive.mount}/f.txt"; echo theirs, longer > "${drive.cloud}/f.txt"`)
  await drive.installation.uploaded('drive')
  await eventually(`test "$(cat "${drive.mount}/f.txt")" = 'theirs, longer'`, 40_000)
  await shell(
    `test "$(cat "${drive.cloud}/f.txt")" = 'theirs, longer'; test "$(cat "${drive.cloud}/f (conflict "*.txt)" = ours; test "$(cat "${drive.mount}/f (conflict "*.txt)" = ours`,
  )
})

test('An edit wins over a deletion', minute, async () => {
  await using drive = await localDrive(['--option', 'writeBackSeconds=2'])
  await shell(`echo base > "${drive.mount}/edited"; echo base > "${drive.mount}/removed"`)
  await drive.installation.uploaded('drive')
  await shell(`echo ours > "${drive.mount}/edited"; rm "${drive.cloud}/edited"`)
  await shell(`echo theirs, longer > "${drive.cloud}/removed"; rm "${drive.mount}/removed"`)
  await drive.installation.uploaded('drive')
  await shell(`test "$(cat "${drive.cloud}/edited")" = ours; test "$(cat "${drive.cloud}/removed")" = 'theirs, longer'`)
  await eventually(`test "$(cat "${drive.mount}/removed")" = 'theirs, longer'`, 40_000)
})
