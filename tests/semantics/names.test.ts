import { expect, test } from 'vitest'
import { localDrive, outcome, proxiedDrive, shell } from './fixture.ts'

const minute = { timeout: 120_000 }

test('Rename is atomic here', minute, async () => {
  await using drive = await localDrive()
  const { mount, installation } = drive
  await shell(`echo x > "${mount}/a"`)
  const renaming = shell(`for i in $(seq 1 400); do mv "${mount}/a" "${mount}/b"; mv "${mount}/b" "${mount}/a"; done`)
  const watching = shell(`for i in $(seq 1 400); do n=$(ls "${mount}" | wc -l); test $n = 1 || { echo "saw $n names"; exit 1; }; done`)
  const { pid } = await installation.mountStatus('drive')
  process.kill(pid, 'SIGKILL')
  await Promise.all([renaming, watching])
  await shell(`test "$(cat "${mount}/a")" = x`)
})

test('What the provider cannot carry is refused when it is made', minute, async (context) => {
  const drive = await proxiedDrive()
  if ('missing' in drive) return context.skip(drive.missing)
  await using used = drive
  const { mount } = used
  const long = await outcome(
    `cd "${mount}" && for i in $(seq 1 12); do mkdir "$(printf 'x%.0s' $(seq 1 99))" || exit 7; cd "$(printf 'x%.0s' $(seq 1 99))"; done`,
  )
  expect(long.code).toBe(7)
  expect(long.text).toMatch(/File name too long/)
  const own = await outcome(`echo x > "${mount}/.cloudmoor-tmp-x"`)
  expect(own.text).toMatch(/Invalid argument/)
  const name = await outcome(`echo x > "${mount}/$(printf 'x%.0s' $(seq 1 256))"`)
  expect(name.text).toMatch(/File name too long/)
})

test('Modes, owners, times, links and special files', minute, async () => {
  await using drive = await localDrive()
  const { mount, installation } = drive
  await shell(`cd "${mount}"; echo f > f; chown 12:34 f; chmod 4751 f; touch -d '2011-12-13 14:15:16.171819202' f; ln f hard; ln -s /nowhere/at/all soft
    mkfifo -m 640 fifo; mknod -m 600 char c 1 7; mknod -m 600 block b 9 9; mkdir -m 3770 d
    python3 -c "import socket; s = socket.socket(socket.AF_UNIX); s.bind('sock')" 2>/dev/null || true`)
  const facts = `cd "${mount}"; stat -c '%n %F %a %u %g %h %t %T' d f hard soft fifo char block; stat -c '%n %y %s' f soft; readlink soft`
  const before = await shell(facts)
  expect(before).toContain('f regular file 4751 12 34 2')
  expect(before).toContain('14:15:16.171819202')
  expect(before).toContain('fifo fifo 640')
  expect(before).toContain('char character special file 600 0 0 1 1 7')
  expect(before).toContain('/nowhere/at/all')
  await installation.uploaded('drive')
  await installation.cloudmoor(['unmount', 'drive'])
  await installation.cloudmoor(['mount', 'drive'])
  expect(await shell(facts)).toBe(before)
})

test('Locks', minute, async () => {
  await using drive = await localDrive()
  const { mount } = drive
  await shell(`: > "${mount}/l"; flock "${mount}/l" sleep 2 & sleep 0.5; ! flock -n "${mount}/l" true; wait; flock -n "${mount}/l" true`)
})

test('Extended attributes', minute, async () => {
  await using plain = await localDrive()
  const refused = await outcome(`echo x > "${plain.mount}/f"; setfattr -n user.a -v 1 "${plain.mount}/f"`)
  expect(refused.text).toMatch(/not supported/)
  await using drive = await localDrive(['--option', 'xattrs=on'])
  await shell(
    `cd "${drive.mount}"; echo x > f; setfattr -n user.a -v one f; test "$(getfattr --only-values -n user.a f)" = one; setfattr -x user.a f; ! getfattr -n user.a f 2>/dev/null`,
  )
})
