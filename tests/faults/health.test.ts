/** A provider that is slow, cut off and half-open: what the mount, its alerts, the webhook and the metrics say. */
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { startChaosProxy } from '../support/chaos-proxy.ts'
import type { Fate } from '../support/chaos-proxy.ts'
import { minioCloud } from '../support/clouds.ts'
import { Installation, shell } from '../support/installation.ts'

const cloud = await minioCloud()
const unable = 'missing' in cloud ? cloud.missing : existsSync('/dev/fuse') ? undefined : 'there is no /dev/fuse'

interface Told {
  readonly event: string
  readonly alert: { readonly reason: string; readonly mount: { readonly name: string }; readonly correlationId: string }
}

it('a slow provider is only slow; one that is cut or half-open is told of, and found again', { timeout: 300_000 }, async ({ skip }) => {
  if ('missing' in cloud || unable !== undefined) return skip(unable)
  await using all = new AsyncDisposableStack()
  all.use(cloud)
  const proxy = await startChaosProxy(cloud.account.set['endpoint'] ?? '')
  all.defer(() => proxy.close())
  const here = all.use(await Installation.create())
  const { told, url } = await startReceiver(all)
  await writeFile(join(here.folder, 'hook'), `${url}\n`, { mode: 0o600 })
  await writeFile(join(here.folder, 'key'), 'signing key\n', { mode: 0o600 })
  const settings = `probeSeconds: "1"\n  alertWebhook: file:${here.folder}/hook\n  alertWebhookKey: file:${here.folder}/key\n  alertWebhookPlain: "yes"`
  await writeFile(join(here.folder, 'settings.yaml'), `version: 1\nsettings:\n  ${settings}\n`)
  await here.cloudmoor(['service', 'start'])
  await here.cloudmoor(['config', 'import', join(here.folder, 'settings.yaml')])

  const struck = (fate: Fate) => {
    proxy.decide = () => fate
  }
  const conditions = async () => (await here.mountStatus('drive')).conditions.map(({ kind }) => kind)
  const alerts = async () =>
    JSON.parse(await here.cloudmoor(['alerts', 'list', '--json'])) as { readonly reason: string; readonly call: string }[]
  const metric = async (name: string) => {
    const text = await shell(`curl -sSf --unix-socket ${here.home}/run/service.sock http://localhost/metrics`)
    return Number(new RegExp(`^cloudmoor_${name}\\{.*\\} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN)
  }
  const until = async (what: string, seconds: number, condition: () => Promise<boolean>) => {
    const end = performance.now() + seconds * 1000
    while (!(await condition())) {
      if (performance.now() > end) throw new Error(`never: ${what}\n${await here.cloudmoor(['status'])}\n${await here.logs()}`)
      await new Promise((resolve) => setTimeout(resolve, 300))
    }
  }

  await here.account('cloud', { ...cloud.account, set: { ...cloud.account.set, endpoint: proxy.endpoint } })
  await here.mount('drive', 'cloud')
  await until('probed while nobody uses it', 30, async () => (await metric('probes_total')) >= 2)
  expect(await metric('reconnect_attempts_total')).toBe(0)

  struck({ kind: 'delay', milliseconds: 1500 })
  await until('slow', 30, async () => (await metric('probe_seconds')) >= 1.4)
  expect(await conditions()).toEqual([])

  struck({ kind: 'reset' })
  await until('cut', 30, async () => (await conditions()).includes('offline'))
  await until('an alert', 30, async () => (await alerts()).length > 0)
  const [alert] = await alerts()
  expect(alert?.reason).toBe('disconnected')
  await until('told', 10, () => Promise.resolve(told.length > 0))
  expect(told[0]).toMatchObject({
    event: 'raised',
    alert: { reason: 'disconnected', mount: { name: 'drive' }, correlationId: alert?.call },
  })
  expect(await here.cloudmoor(['logs', '--json', '-n', '1000'])).toContain(alert?.call)
  expect(await metric('reconnect_failures_total')).toBeGreaterThan(0)

  struck({ kind: 'pass' })
  await until('found again', 60, async () => (await conditions()).length === 0 && (await alerts()).length === 0)
  await until('told that it is over', 10, () => Promise.resolve(told.some(({ event }) => event === 'resolved')))

  struck({ kind: 'stall', after: 0 })
  await until('half-open found out', 60, async () => (await conditions()).includes('offline'))
  struck({ kind: 'pass' })
  await until('found again', 60, async () => (await conditions()).length === 0)
  expect(proxy.struck).toBeGreaterThan(3)
})

/** Takes what is signed with the key of this test. */
async function startReceiver(all: AsyncDisposableStack): Promise<{ readonly told: Told[]; readonly url: string }> {
  const told: Told[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8')
    request.on('data', (chunk: string) => (body += chunk))
    request.on('end', () => {
      const [, time = '', signature = ''] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(request.headers['cloudmoor-signature'])) ?? []
      const isSigned = signature === createHmac('sha256', 'signing key').update(`${time}.${body}`).digest('hex')
      if (isSigned) told.push(JSON.parse(body) as Told)
      response.writeHead(isSigned ? 204 : 403).end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  all.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  return { told, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook` }
}
