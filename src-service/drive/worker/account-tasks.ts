import { CloudError } from '../../common/errors.ts'
import type { Account, BrowseResult, ProbeResult } from '../../common/frames/messages.ts'
import type { Connector, ConnectorContext, RemotePlace } from '../connectors/connector.ts'
import type { Log } from './worker-log.ts'

export type OpenConnector = (type: string, context: ConnectorContext) => Connector

/** Milliseconds for the whole of a try; every call of the connector has its own deadline below this. */
const probeMs = 60_000
const browseMs = 60_000

/** Signs in, measures what the account can do, and asks for its space. Errors: sign-in, access, not-found, offline, timeout … */
export function probeAccount(open: OpenConnector, account: Account & { readonly write: boolean }, log: Log): Promise<ProbeResult> {
  return withConnector(open, account, log, async (connector) => {
    const signal = AbortSignal.timeout(probeMs)
    await connector.check(signal)
    const checks = (await connector.measure?.(account.write, signal)) ?? []
    return { checks, usage: await connector.usage(signal) }
  })
}

/** The entries of one folder, folders first, by name; at most `limit`. */
export function browseAccount(
  open: OpenConnector,
  account: Account & { readonly path: string; readonly limit: number },
  log: Log,
): Promise<BrowseResult> {
  return withConnector(open, account, log, async (connector) => {
    const signal = AbortSignal.timeout(browseMs)
    const path = account.path.split('/').filter((name) => name !== '')
    if (path.some((name) => name === '.' || name === '..'))
      throw new CloudError('invalid', `'${account.path}' is not a folder of an account`)
    const folder = await resolveFolder(connector, path, signal)
    const entries: BrowseResult['entries'][number][] = []
    for await (const page of connector.list(folder, signal)) {
      for (const entry of page.entries) {
        if (entries.length >= account.limit) return { entries, more: true }
        entries.push({
          name: entry.name.toString('utf8'),
          type: entry.type === 'file' || entry.type === 'folder' ? entry.type : 'other',
          size: entry.size,
          modified: entry.mtime.sec * 1000,
        })
      }
    }
    return { entries, more: false }
  })
}

/** Providers with ids know a folder by its id: each step down asks for the next one. */
async function resolveFolder(connector: Connector, names: readonly string[], signal: AbortSignal): Promise<RemotePlace> {
  let place: RemotePlace = { path: [], id: null, parentId: null }
  for (const name of names) {
    const next: RemotePlace = { path: [...place.path, Buffer.from(name)], id: null, parentId: place.id }
    const found = await connector.stat(next, 'folder', signal)
    if (found === null) throw new CloudError('not-found', `the account has no folder '${names.join('/')}'`)
    place = { ...next, id: found.id }
  }
  return place
}

async function withConnector<T>(open: OpenConnector, account: Account, log: Log, work: (connector: Connector) => Promise<T>): Promise<T> {
  const connector = open(account.type, {
    settings: { options: account.options, secret: (name) => account.secrets[name] },
    remoteRoot: account.remoteRoot,
    log,
  })
  try {
    return await work(connector)
  } finally {
    await connector.close()
  }
}
