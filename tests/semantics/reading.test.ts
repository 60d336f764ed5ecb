import { randomBytes } from 'node:crypto'
import { open, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { signal } from '../support/installation.ts'
import { eventually, localDrive, outcome, proxiedDrive, shell, sleep } from './fixture.ts'

const minutes = { timeout: 180_000 }

test('A reader never sees a mix of two versions', minutes, async () => {
  await using drive = await localDrive()
  const size = 40_000_000
  await shell(`head -c ${size} /dev/zero | tr '\\0' a > "${drive.cloud}/f"; ls "${drive.mount}" > /dev/null`)
  const { code, text } = await outcome(
    `exec 5< "${drive.mount}/f"; head -c 1000 <&5 > "${drive.installation.folder}/got"
     head -c ${size} /dev/zero | tr '\\0' b > "${drive.cloud}/.new"; mv "${drive.cloud}/.new" "${drive.cloud}/f"
     cat <&5 >> "${drive.installation.folder}/got" 2> /dev/null; echo "exit $?"
     tr -d a < "${drive.installation.folder}/got" | wc -c`,
    90_000,
  )
  expect(code).toBe(0)
  expect(text.trim().split('\n').at(-1)).toBe('0')
  // Opened anew, the new version is read, whole.
  await eventually(`test "$(tr -d b < "${drive.mount}/f" | wc -c)" = 0 && test "$(stat -c %s "${drive.mount}/f")" = ${size}`, 45_000)
})

test('Close to open', minutes, async () => {
  await using drive = await localDrive()
  await shell(`for i in $(seq 1 100); do echo $i > "${drive.mount}/f"; test "$(cat "${drive.mount}/f")" = $i; done`)
})

test('Changes made elsewhere', minutes, async () => {
  await using drive = await localDrive()
  await shell(`echo one > "${drive.cloud}/f"; test "$(cat "${drive.mount}/f")" = one`)
  await shell(`echo number two > "${drive.cloud}/f"; echo new > "${drive.cloud}/g"`)
  const begun = performance.now()
  await eventually(`test "$(cat "${drive.mount}/f")" = 'number two' && test "$(cat "${drive.mount}/g")" = new`, 35_000)
  expect(performance.now() - begun).toBeLessThan(32_000)
  await using strict = await localDrive(['--option', 'freshness=strict'])
  await shell(
    `echo one > "${strict.cloud}/f"; test "$(cat "${strict.mount}/f")" = one; echo number two > "${strict.cloud}/f"; test "$(cat "${strict.mount}/f")" = 'number two'`,
  )
})

test('Unknown is not NotFound', minutes, async (context) => {
  const drive = await proxiedDrive(['--option', 'writeBackSeconds=1'])
  if ('missing' in drive) return context.skip(drive.missing)
  await using used = drive
  const { mount, proxy, installation } = used
  await shell(`mkdir "${mount}/known" "${mount}/other"; echo cached > "${mount}/known/f"; head -c 3000000 /dev/zero > "${mount}/known/far"`)
  await installation.uploaded('drive')
  // A drive that has never seen `other` listed and has nothing of `far`.
  await installation.cloudmoor(['unmount', 'drive'])
  const copy = await installation.mount('second', 'cloud', ['--shared', '--option', 'writeBackSeconds=1'])
  await shell(`cat "${copy}/known/f" > /dev/null; ls "${copy}" > /dev/null`)
  proxy.decide = () => ({ kind: 'reset' })
  await shell(`ls "${copy}/known" | grep -qx far; test "$(cat "${copy}/known/f")" = cached`)
  const far = await outcome(`cat "${copy}/known/far" > /dev/null`, 80_000)
  expect(far.code).not.toBe(0)
  expect(far.text).toMatch(/Network is unreachable|timed out/)
  const other = await outcome(`ls "${copy}/other"`, 30_000)
  expect(other.code).not.toBe(0)
  expect(other.text).not.toMatch(/No such file/)
  await shell(`echo written > "${copy}/known/offline"; test "$(cat "${copy}/known/offline")" = written`)
  await sleep(2500)
  expect((await installation.mountStatus('second')).conditions.map(({ kind }) => kind)).toContain('offline')
  expect(proxy.struck).toBeGreaterThan(0)
  proxy.decide = () => ({ kind: 'pass' })
  await installation.uploaded('second', 90_000)
  await shell(`test "$(stat -c %s "${copy}/known/far")" = 3000000; cat "${copy}/known/far" > /dev/null; ls "${copy}/other"`)
})

test('Deletions are not inferred lightly', minutes, async (context) => {
  const drive = await proxiedDrive()
  if ('missing' in drive) return context.skip(drive.missing)
  await using used = drive
  const { mount, proxy, installation } = used
  await shell(`mkdir "${mount}/d"; for i in $(seq 1 150); do echo $i > "${mount}/d/f$i"; done`)
  await installation.uploaded('drive')
  // Listings now look complete and empty: a server that lost its mind, not one that lost its files.
  const empty =
    '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>drive</Name><Prefix>d/</Prefix><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>'
  let spoiled = 0
  proxy.decide = ({ method, url }) => {
    if (method !== 'GET' || !url.includes('list-type=2') || !url.includes('prefix=d%2F') || spoiled >= 1) return { kind: 'pass' }
    spoiled++
    return { kind: 'answer', status: 200, headers: { 'content-type': 'application/xml' }, body: empty }
  }
  const end = performance.now() + 60_000
  while (spoiled === 0 && performance.now() < end) {
    await shell(`ls "${mount}/d" > /dev/null`)
    await sleep(500)
  }
  expect(spoiled).toBe(1)
  await sleep(3000)
  await shell(`test "$(ls "${mount}/d" | wc -l)" = 150`)
})

test('What is open stays readable', minutes, async () => {
  await using drive = await localDrive(['--option', 'writeBackSeconds=0'])
  const { installation, mount, cloud } = drive
  const contents = randomBytes(3 * 2 ** 20)
  await writeFile(join(cloud, 'far'), contents)
  const handle = await open(join(mount, 'far'))
  try {
    // Only the beginning is here.
    await handle.read(Buffer.alloc(4096), 0, 4096, 0)
    const { pid } = await installation.mountStatus('drive')
    signal(pid, 'SIGKILL')
    await expect.poll(async () => (await installation.mountStatus('drive')).pid, { timeout: 20_000 }).not.toBe(pid)
    await installation.cloudmoor(['cache', 'clear', 'drive'])
    await unlink(join(mount, 'far'))
    await writeFile(join(mount, 'next'), '')
    await eventually(`test -e "${cloud}/next"`, 20_000)
    expect((await handle.readFile()).equals(contents)).toBe(true)
  } finally {
    await handle.close()
  }
  await eventually(`test ! -e "${cloud}/far"`, 20_000)
})
