import { afterAll, describe, test } from 'vitest'
import { randomBytes } from 'node:crypto'
import { openConnector } from '../../src-service/drive/connectors/registry.ts'
import { findApache, startApache } from '../servers/apache.ts'
import { findNginx, startNginx } from '../servers/nginx.ts'
import { at, signal } from './candidate.ts'
import type { Ability, Bench } from './candidate.ts'
import { connectorConformance } from './connector-conformance.ts'

/** A server as the suite needs it. */
interface Dav {
  readonly username: string
  readonly password: string
  readonly basic: string
  stop(): Promise<void>
}

const lacks: readonly Ability[] = [
  'server-conditions',
  'resumable',
  'mode',
  'owner',
  'mtime',
  'symlinks',
  'special-nodes',
  'xattrs',
  'set-attributes',
]

const [apache, nginx] = [await findApache(), await findNginx()]
suite('webdav (Apache)', lacks, 'missing' in apache ? apache : () => startApache(apache))
suite('webdav (nginx)', lacks, 'missing' in nginx ? nginx : () => startNginx(nginx))

function suite(name: string, lack: readonly Ability[], start: { readonly missing: string } | (() => Promise<Dav>)): void {
  if ('missing' in start) {
    describe('webdav', () => {
      test.skip(`${name}: ${start.missing}`, () => undefined)
    })
    return
  }
  let server: Promise<Dav> | null = null
  afterAll(async () => {
    await (await server)?.stop()
  })
  connectorConformance({
    name,
    lacks: lack,
    open: async () => {
      server ??= start()
      return await openBench(await server)
    },
  })
}

/** A folder of its own on the server. */
async function openBench({ basic, username, password }: Dav): Promise<Bench> {
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
    },
  }
}
