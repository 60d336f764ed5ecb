/** Large uploads to a real Apache: what others do meanwhile is not overwritten, and nothing stays behind. */
import { readdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { UploadSource } from '../../src-service/drive/connectors/connector.ts'
import { openConnector } from '../../src-service/drive/connectors/registry.ts'
import type { OpenConnector } from '../../src-service/drive/connectors/registry.ts'
import { findApache, startApache } from '../servers/apache.ts'
import type { ApacheServer } from '../servers/apache.ts'
import { absent, any, at, contentsAt, put, refusal, signal, statOf, writeOptions } from './candidate.ts'

const found = await findApache()
const mebi = 2 ** 20

describe('large uploads by webdav', () => {
  if ('missing' in found) {
    test.skip(`Apache: ${found.missing}`, () => undefined)
    return
  }
  let server: ApacheServer
  let connector: OpenConnector
  beforeAll(async () => {
    server = await startApache(found)
    const { username, password } = server
    connector = openConnector('webdav', {
      settings: { options: { url: server.basic, username }, secret: (name) => (name === 'password' ? password : undefined) },
      remoteRoot: '',
      log: () => undefined,
    })
  })
  afterAll(async () => {
    await connector.close()
    await server.stop()
  })
  /** Three mebibytes; in the middle of sending, somebody else does something. */
  const during = (somebody: () => Promise<unknown>): UploadSource => ({
    size: 3 * mebi,
    read: async (start, end) => {
      if (start === mebi) await somebody()
      return Buffer.alloc(end - start, 'x')
    },
  })

  test('a version that changes while the upload runs is a conflict, and stays', async () => {
    const { rev } = await put(connector, at('changed'), 'first')
    const theirs = () => writeFile(join(server.data, 'changed'), 'theirs')
    const ours = connector.write(at('changed'), 'file', during(theirs), writeOptions({ kind: 'rev', rev }), signal)
    expect(await refusal(ours)).toBe('conflict')
    expect(await contentsAt(connector, at('changed'))).toBe('theirs')
  })

  test('a name that is taken while the upload runs stays with who took it', async () => {
    const theirs = () => writeFile(join(server.data, 'taken'), 'theirs')
    expect(await refusal(connector.write(at('taken'), 'file', during(theirs), writeOptions(absent), signal))).toBe('conflict')
    expect(await contentsAt(connector, at('taken'))).toBe('theirs')
  })

  test('what nobody touches is replaced, and is read back', async () => {
    const { rev } = await put(connector, at('replaced'), 'first')
    const written = await connector.write(
      at('replaced'),
      'file',
      during(async () => undefined),
      writeOptions({ kind: 'rev', rev }),
      signal,
    )
    expect(written).toMatchObject({ size: 3 * mebi, rev: (await statOf(connector, at('replaced'))).rev })
    expect(await contentsAt(connector, at('replaced'))).toBe('x'.repeat(3 * mebi))
  })

  test('nothing is left of any of it', async () => {
    expect((await readdir(server.data)).filter((name) => name.startsWith('.cloudmoor'))).toEqual([])
  })

  test('what a dead client left is told of, not shown, and goes with its folder after a day', async () => {
    await connector.makeFolder(at('folder'), {}, signal)
    const left = join(server.data, 'folder', '.cloudmoor-tmp-0123')
    await writeFile(left, 'half of a file')
    for await (const page of connector.list(at('folder'), signal)) {
      expect(page).toMatchObject({ entries: [], hidden: ['.cloudmoor-tmp-0123'] })
    }
    expect(await refusal(connector.remove(at('folder'), 'folder', any, signal))).toBe('not-empty')
    const longAgo = Date.now() / 1000 - 100_000
    await utimes(left, longAgo, longAgo)
    await connector.remove(at('folder'), 'folder', any, signal)
    expect(await connector.stat(at('folder'), 'any', signal)).toBeNull()
  })
})
