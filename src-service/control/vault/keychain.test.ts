import { expect, it } from 'vitest'
import { createKeychain } from './keychain.ts'

const noKeychain = { kind: 'unavailable', code: 'NO_KEYCHAIN' }
const running = (script: string, deadlineMs = 10_000) => createKeychain({ program: ['-e', script], env: { SECRET: 'x' }, deadlineMs })

it('waits no longer than its deadline, whatever the keychain does', async () => {
  const started = performance.now()
  await expect(running('setInterval(() => {}, 1000)', 300).get('a')).rejects.toMatchObject({
    ...noKeychain,
    message: expect.stringContaining('0.3 s'),
  })
  expect(performance.now() - started).toBeLessThan(5000)
})

it.each([
  ['ends without a word', ''],
  ['dies', 'process.kill(process.pid, "SIGSEGV")'],
  ['says what makes no sense', 'console.log("{")'],
  ['says something else', 'console.log("[1]")'],
])('is not there when its process %s', async (_, script) => {
  await expect(running(script).get('a')).rejects.toMatchObject(noKeychain)
})

it('gives its process what it needs by stdin, and nothing of the environment', async () => {
  const script = `process.stdin.on('data', (data) => process.stdout.write(JSON.stringify({ value: data + process.argv.length + Object.keys(process.env) })))`
  const { value, ...rest } = JSON.parse(((await running(script).get('a')) ?? '').replace(/\d\D*$/, '')) as Record<string, string>
  expect([value, rest]).toEqual([undefined, { action: 'get', account: 'a' }])
  expect(await running(script).get('a')).not.toContain('SECRET')
})

it('is not looked for where there is no session bus', async () => {
  const isLikely = (env: Record<string, string>) => createKeychain({ program: [], env }).isLikely()
  expect(await isLikely({})).toBe(process.platform !== 'linux')
  expect(await isLikely({ DBUS_SESSION_BUS_ADDRESS: 'unix:path=/x' })).toBe(true)
  expect(await isLikely({ XDG_RUNTIME_DIR: '/nonexistent' })).toBe(process.platform !== 'linux')
})
