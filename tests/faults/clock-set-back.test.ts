/** The clock of the machine is set back by an hour under a service and its mount: nothing is lost, and nothing waits for that hour. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { findApache, startApache } from '../servers/apache.ts'
import { startChaosProxy } from '../support/chaos-proxy.ts'
import { Installation, signal } from '../support/installation.ts'
import { makeClock, whyNoClock } from './set-clock.ts'

const hour = 3600
const name = 'anna'
const password = 'correct horse battery'

interface AuditLine {
  readonly sequence: number
  readonly time: string
  readonly action: string
}

it('is followed by the service, its worker and its clients', { timeout: 400_000 }, async ({ skip }) => {
  const apache = await findApache()
  const reason = 'missing' in apache ? apache.missing : await whyNoClock()
  if ('missing' in apache || reason !== null) return skip(reason ?? '')
  await using all = new AsyncDisposableStack()
  const server = await startApache(apache)
  all.defer(() => server.stop())
  const { origin, pathname } = new URL(server.basic)
  const proxy = await startChaosProxy(origin)
  all.defer(() => proxy.close())
  const here = all.use(await Installation.create())
  const clock = await makeClock(here.folder)

  let pid = 0
  /** Starts the service by the set clock, and what commands tell of it by the true one. */
  const start = async (): Promise<void> => {
    here.wrapper = clock.wrapper
    pid = (JSON.parse(await here.cloudmoor(['service', 'start', '--json'])) as { readonly pid: number }).pid
    here.wrapper = []
  }
  /** The mount is in the service's mount namespace. */
  const inMount = (file: string) => `/proc/${pid}/root${here.folder}/mnt-drive/${file}`
  const uploaded = (file: string) => readFile(join(server.data, file), 'utf8').catch(() => null)
  const until = async (what: string, seconds: number, condition: () => Promise<boolean>): Promise<void> => {
    const begun = performance.now()
    while (!(await condition())) {
      if (performance.now() - begun > seconds * 1000)
        throw new Error(`not within ${seconds} s: ${what}\n${await here.cloudmoor(['status'])}\n${await here.cloudmoor(['transfers'])}`)
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    process.stdout.write(`${what}: after ${Math.round(performance.now() - begun)} ms\n`)
  }
  const audit = async () => jsonLines(await here.cloudmoor(['audit', 'list', '--json', '-n', '500'])) as readonly AuditLine[]
  const brokenAt = async () => (JSON.parse(await here.cloudmoor(['audit', 'verify', '--json'])) as { readonly brokenAt: number }).brokenAt
  /** Puts of a file that were refused so far. */
  const refusedPuts = (file: string) => proxy.seen.filter(({ method, url }) => method === 'PUT' && url.includes(file)).length

  await start()
  await here.account('cloud', {
    ...{ type: 'webdav', set: { preset: 'generic', url: proxy.endpoint + pathname, username: server.username } },
    secrets: { password: server.password },
  })
  await here.mount('drive', 'cloud')
  await writeFile(inMount('before'), 'before')
  await until('the first upload', 60, async () => (await uploaded('before')) === 'before')

  const { url } = JSON.parse(await readFile(join(here.home, 'run/web.json'), 'utf8')) as { readonly url: string }
  const call = (method: string, body: object, headers: Readonly<Record<string, string>> = {}) =>
    fetch(`${url}/cloudmoor.v1.SessionService/${method}`, {
      ...{ method: 'POST', body: JSON.stringify(body) },
      headers: { 'content-type': 'application/json', ...headers },
    })
  const { text: token } = JSON.parse(
    await here.cloudmoor(['token', 'create', 'script', '--role', 'operator', '--expires', '4h', '--json']),
  ) as { readonly text: string }
  const withToken = () => fetch(`${url}/api/v1/mounts`, { headers: { authorization: `Bearer ${token}` } })
  const { code } = JSON.parse(await here.cloudmoor(['user', 'add', name, '--role', 'operator', '--json'])) as { readonly code: string }
  const accepted = await call('AcceptInvite', { code, password })
  expect(accepted.status).toBe(200)
  const cookieOf = (answer: Response) => answer.headers.getSetCookie()[0]?.split(';')[0] ?? ''
  const whoAmI = (cookie: string) => call('WhoAmI', {}, { cookie, 'cloudmoor-client': 'web' })
  const cookie = cookieOf(accepted)
  expect([(await whoAmI(cookie)).status, (await withToken()).status]).toEqual([200, 200])
  for (let tries = 0; tries < 6; tries++) await call('Login', { name, password: 'not the one' })
  expect((await call('Login', { name, password })).status).toBe(429)

  const events: string[] = []
  const listening = new AbortController()
  all.defer(() => listening.abort())
  const stream = await fetch(`${url}/api/v1/events:watch`, {
    headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream' },
    signal: listening.signal,
  })
  void (async () => {
    const decoder = new TextDecoder()
    for await (const chunk of stream.body ?? []) events.push(decoder.decode(chunk as Uint8Array))
  })().catch(() => undefined)
  await until('the stream begins', 10, () => Promise.resolve(events.length > 0))

  // One upload that the provider asks to come back for, one that failed and waits, one that is not due yet.
  proxy.decide = ({ method, url: asked }) =>
    method !== 'PUT'
      ? { kind: 'pass' }
      : asked.includes('paused')
        ? { kind: 'answer', status: 503, headers: { 'retry-after': '3' } }
        : asked.includes('failing')
          ? { kind: 'answer', status: 500 }
          : { kind: 'pass' }
  await writeFile(inMount('failing'), 'failing')
  await until('a failed upload', 60, () => Promise.resolve(refusedPuts('failing') >= 2))
  await writeFile(inMount('paused'), 'paused')
  await until('an upload that was sent away', 60, () => Promise.resolve(refusedPuts('paused') >= 1))
  await writeFile(inMount('quiet'), 'quiet')
  const lastBefore = (await audit()).at(-1)
  expect(events.join('')).not.toContain('"name":"later"')

  await clock.set(-hour)
  proxy.decide = () => ({ kind: 'pass' })

  for (const file of ['quiet', 'paused', 'failing']) await until(`the upload of '${file}'`, 60, async () => (await uploaded(file)) === file)
  await here.uploaded('drive')
  await writeFile(join(server.data, 'elsewhere'), 'made elsewhere')
  await until(
    'a change made elsewhere',
    60,
    async () => (await readFile(inMount('elsewhere'), 'utf8').catch(() => '')) === 'made elsewhere',
  )
  expect(await readFile(inMount('before'), 'utf8')).toBe('before')

  // Who is logged in stays so, or is asked once more and gets in; who had to wait does not wait for an hour.
  expect((await withToken()).status).toBe(200)
  let renewed = ''
  await until('a login', 65, async () => {
    const answer = await call('Login', { name, password })
    renewed = cookieOf(answer)
    return answer.status === 200
  })
  expect((await whoAmI(renewed)).status).toBe(200)
  expect([200, 401]).toContain((await whoAmI(cookie)).status)

  // What happens now is told at once, recorded behind what happened before, and is the last that the logs show.
  await here.cloudmoor(['mount', 'set', 'drive', '--label', 'later'])
  await until('an event', 10, () => Promise.resolve(events.join('').includes('later')))
  const lines = await audit()
  const [before, after] = [lines.find(({ sequence }) => sequence === lastBefore?.sequence), lines.at(-1)]
  expect(lines.map(({ sequence }) => sequence)).toEqual([...lines.map(({ sequence }) => sequence)].sort((a, b) => a - b))
  expect(Date.parse(after?.time ?? '')).toBeLessThan(Date.parse(before?.time ?? '') - 50 * 60_000)
  expect(await brokenAt()).toBe(0)

  // A worker that dies is replaced as ever.
  const [worker = 0] = await here.workerPids()
  expect(signal(worker, 'SIGKILL')).toBe(true)
  await writeFile(inMount('after the worker'), 'after the worker')
  await until('an upload by the next worker', 60, async () => (await uploaded('after the worker')) === 'after the worker')
  const logged = jsonLines(await here.cloudmoor(['logs', '--json', '-n', '50'])) as readonly { readonly time: string }[]
  expect(logged.filter(({ time }) => Date.parse(time) < Date.now() - 50 * 60_000)).not.toEqual([])

  // What failed just before the clock was set back again, and was stopped with everything else, is tried by the next process.
  proxy.decide = ({ method }) => (method === 'PUT' ? { kind: 'answer', status: 500 } : { kind: 'pass' })
  await writeFile(inMount('last'), 'last')
  await until('another failed upload', 60, () => Promise.resolve(refusedPuts('last') >= 3))
  listening.abort()
  await here.killAll()
  await clock.set(-2 * hour)
  proxy.decide = () => ({ kind: 'pass' })
  await start()
  await until('the upload of the next process', 60, async () => (await uploaded('last')) === 'last')
  expect(await readFile(inMount('last'), 'utf8')).toBe('last')
  expect((await withToken()).status).toBe(200)
  expect(await brokenAt()).toBe(0)
})

function jsonLines(text: string): readonly unknown[] {
  return text
    .trim()
    .split('\n')
    .map((line): unknown => JSON.parse(line))
}
