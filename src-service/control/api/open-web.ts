import { rename, rm, writeFile } from 'node:fs/promises'
import { hostname, networkInterfaces } from 'node:os'
import { join } from 'node:path'
import type { Log } from '../../common/telemetry/log.ts'
import { list, readListen, readSetting, readTls } from '../store/settings.ts'
import type { ListenAddress } from '../store/settings.ts'
import type { SettingTable } from '../store/store.ts'
import { fingerprintOf, readCertificate, selfMadeCertificate } from './certificate.ts'
import type { Request, Response } from './connections.ts'
import { isLoopback, openWebListener } from './web-listener.ts'
import type { Certificate, WebListener } from './web-listener.ts'

export interface WebSettings {
  readonly listen: readonly ListenAddress[]
  readonly certificate: Certificate | null
  readonly publicUrl: string
  readonly pathPrefix: string
  readonly trustedProxies: readonly string[]
}

/** Throws `invalid` for a certificate that cannot be used. @param state folder for a self-made one */
export async function readWebSettings(table: Pick<SettingTable, 'get'>, state: string, now: number): Promise<WebSettings> {
  const text = (name: string) => readSetting(table, name)
  const listen = readListen(await text('listen'))
  const tls = readTls(await text('tls'))
  return {
    listen,
    certificate:
      tls.kind === 'off' || listen.length === 0
        ? null
        : tls.kind === 'files'
          ? await readCertificate(tls.cert, tls.key)
          : await selfMadeCertificate(state, reachable(listen), now),
    publicUrl: await text('publicUrl'),
    pathPrefix: await text('pathPrefix'),
    trustedProxies: list(await text('trustedProxies')),
  }
}

export interface Web {
  /** Address of the web UI; '' = there is none. */
  readonly url: string
  /** What a Host header may say. */
  readonly hosts: ReadonlySet<string>
  /** SHA-256 of the certificate; '' = plain HTTP. */
  readonly fingerprint: string
  close(graceMs: number): Promise<void>
}

const defaultPort = 7434

/** Opens the addresses besides the unix socket, and tells of them in the runtime folder alone. */
export async function openWeb(
  settings: WebSettings,
  run: string,
  instance: string,
  log: Log,
  handle: (request: Request, response: Response) => void,
): Promise<Web> {
  const opened: WebListener[] = []
  const close = async (graceMs: number) => {
    await Promise.all(opened.map((listener) => listener.close(graceMs)))
    await rm(join(run, 'web.json'), { force: true })
  }
  try {
    for (const { address, port } of settings.listen) {
      const elsewhere = isLoopback(address) && port === defaultPort
      opened.push(await openWebListener({ address, port, elsewhere, tls: settings.certificate, handle, log }))
    }
  } catch (caught) {
    await close(0)
    throw caught
  }
  const first = opened[0]
  const own = first === undefined ? '' : `${first.secure ? 'https' : 'http'}://${hostPart(first.address)}:${first.port}`
  const url = first === undefined ? '' : `${settings.publicUrl === '' ? own : settings.publicUrl}${settings.pathPrefix}`
  const fingerprint = settings.certificate !== null && opened.some(({ secure }) => secure) ? fingerprintOf(settings.certificate) : ''
  await publish(run, { url: own, instance, fingerprint })
  for (const { address, port } of opened) log.write('info', `listening on ${hostPart(address)}:${port}`)
  if (fingerprint !== '') log.write('info', `the certificate's SHA-256 fingerprint is ${fingerprint}`)
  return { url, hosts: hostsOf(opened, settings.publicUrl), fingerprint, close }
}

async function publish(run: string, facts: Readonly<Record<string, string>>): Promise<void> {
  const path = join(run, 'web.json')
  await writeFile(`${path}.new`, `${JSON.stringify(facts)}\n`, { mode: 0o600 })
  await rename(`${path}.new`, path)
}

function hostsOf(listeners: readonly WebListener[], publicUrl: string): Set<string> {
  const hosts = new Set<string>()
  for (const { address, port, secure } of listeners) {
    const names = ['localhost', ...reachable([{ address, port }]).map(hostPart), ...(isLoopback(address) ? [] : [hostname().toLowerCase()])]
    for (const name of names) {
      hosts.add(`${name}:${port}`)
      if (port === (secure ? 443 : 80)) hosts.add(name)
    }
  }
  if (publicUrl !== '') hosts.add(new URL(publicUrl).host)
  return hosts
}

/** The addresses under which these can be reached. */
function reachable(listen: readonly ListenAddress[]): string[] {
  const interfaces = Object.values(networkInterfaces()).flatMap((entries) => entries ?? [])
  return [
    ...new Set(
      listen.flatMap(({ address }) =>
        address === '0.0.0.0' || address === '::' ? interfaces.map((entry) => entry.address.replace(/%.*$/, '')) : [address],
      ),
    ),
  ]
}

function hostPart(address: string): string {
  return address.includes(':') ? `[${address}]` : address
}
