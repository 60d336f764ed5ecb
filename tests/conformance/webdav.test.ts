import { randomBytes } from 'node:crypto'
import { openConnector } from '../../src-service/drive/connectors/registry.ts'
import { findApache, startApache } from '../servers/apache.ts'
import type { DavServer } from '../servers/dav-process.ts'
import type { Unpacked } from '../servers/debian.ts'
import { findNginx, startNginx } from '../servers/nginx.ts'
import { at, signal } from './candidate.ts'
import type { Ability, Bench } from './candidate.ts'
import { connectorConformance, skippedConformance } from './connector-conformance.ts'
import { webdavSheets } from './webdav-sheets.ts'

/** What the connector has on no server. */
const everywhere: readonly Ability[] = [
  'server-conditions',
  'resumable',
  'mode',
  'owner',
  'mtime',
  'symlinks',
  'special-nodes',
  'xattrs',
  'set-attributes',
  'foreign-keys',
  'twins',
]

await conform('Apache', findApache, startApache, [])
await conform('nginx', findNginx, startNginx, ['leading-dots'])

async function conform(
  server: keyof typeof webdavSheets,
  find: () => Promise<Unpacked | { readonly missing: string }>,
  start: (found: Unpacked) => Promise<DavServer>,
  lacks: readonly Ability[],
): Promise<void> {
  const found = await find()
  if ('missing' in found) {
    skippedConformance({ provider: 'webdav', server }, found.missing)
    return
  }
  connectorConformance({
    provider: 'webdav',
    server,
    sheet: webdavSheets[server],
    lacks: [...everywhere, ...lacks],
    luck: { 'exclusive-creation': 'the server looks when an upload begins and replaces when it ends: of two at once both may win' },
    open: async () => await openBench(await start(found)),
  })
}

/** A folder of its own, with a name that has to be escaped. */
async function openBench({ basic, username, password, stop }: DavServer): Promise<Bench> {
  const one = (remoteRoot: string) =>
    openConnector('webdav', {
      settings: { options: { url: basic, username }, secret: (name) => (name === 'password' ? password : undefined) },
      remoteRoot,
      log: () => undefined,
    })
  const folder = `bench caf\u00e9 ${randomBytes(4).toString('hex')}`
  const top = one('')
  await top.makeFolder(at(folder), {}, signal)
  const [connector, other] = [one(folder), one(folder)]
  return {
    connector,
    other,
    received: () => 0,
    close: async () => {
      for (const opened of [top, connector, other]) await opened.close()
      await stop()
    },
  }
}
