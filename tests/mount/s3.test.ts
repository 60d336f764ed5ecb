/** A mount of a real MinIO: what programs cost at the provider, and what is left there. */
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openConnector } from '../../src-service/drive/connectors/registry.ts'
import type { OpenConnector } from '../../src-service/drive/connectors/registry.ts'
import { any, at, listAll, put } from '../conformance/candidate.ts'
import { findMinio } from '../servers/minio.ts'
import { startChaosProxy } from '../support/chaos-proxy.ts'
import type { ChaosProxy } from '../support/chaos-proxy.ts'
import { type Cloud, minioCloud } from '../support/clouds.ts'
import { Installation } from '../support/installation.ts'

const found = await findMinio()
const proof = process.env['CLOUDMOOR_PROOF'] === '1'

describe('a mount of S3 (MinIO): requests, counted', { timeout: proof ? 300_000 : 60_000 }, () => {
  if ('missing' in found) {
    test('requests', ({ skip }) => skip(`MinIO: ${found.missing}`))
    return
  }
  const all = new AsyncDisposableStack()
  let cloud: Cloud
  let proxy: ChaosProxy
  let truth: OpenConnector
  let installation: Installation
  let mount: string
  const listed = proof ? 10_000 : 1200

  /** What is stored by another client, 40 at a time. */
  const fill = async (folder: string, count: number) => {
    for (let start = 0; start < count; start += 40) {
      const names = Array.from({ length: Math.min(40, count - start) }, (_, index) => `file-${start + index}`)
      await Promise.all(names.map((name) => put(truth, at(folder, name), name, any)))
    }
  }
  /** `METHOD operation` of what the provider was asked. */
  const asked = (): string[] => proxy.seen.map(({ method, url }) => `${method} ${operationOf(url)}`.trim())
  /** Without what looks for the changes of others. */
  const but = (background: string) => asked().filter((one) => one !== background)

  beforeAll(async () => {
    const started = await minioCloud()
    if ('missing' in started) throw new Error(started.missing)
    cloud = all.use(started)
    const { type, set, secrets } = cloud.account
    const settings = { options: set, secret: (name: string) => secrets[name] }
    truth = openConnector(type, { settings, remoteRoot: '', log: () => undefined })
    all.defer(() => truth.close())
    proxy = await startChaosProxy(String(set['endpoint']))
    all.defer(() => proxy.close())
    await fill('many', listed)
    await fill('small', 10)
    await fill('renamed', 100)
    installation = all.use(await Installation.create())
    await installation.account('cloud', { ...cloud.account, set: { ...set, endpoint: proxy.endpoint } })
    mount = await installation.mount('drive', 'cloud', ['--option', 'writeBackSeconds=0'])
    await writeFile(join(mount, 'first'), 'what follows is a drive that knows its server')
    await installation.uploaded('drive')
  }, 120_000)

  afterAll(() => all.disposeAsync())

  beforeEach(() => {
    proxy.seen.length = 0
  })

  test('a folder is listed: one for each 1,000', async () => {
    expect((await readdir(join(mount, 'many'))).length).toBe(listed)
    const pages = proxy.seen.filter(({ url }) => url.includes('list-type') && url.includes('many'))
    expect(pages.length).toBe(Math.ceil(listed / 1000))
    expect(but('GET list-type')).toEqual([])
  })

  test('a small file is opened and read: one, and none the next time', async () => {
    await readdir(join(mount, 'small'))
    proxy.seen.length = 0
    expect(await readFile(join(mount, 'small', 'file-3'), 'utf8')).toBe('file-3')
    expect(await readFile(join(mount, 'small', 'file-3'), 'utf8')).toBe('file-3')
    expect(proxy.seen.filter(({ url }) => url.includes('file-3')).map(({ method }) => method)).toEqual(['GET'])
  })

  test('a file is made: one', async () => {
    await writeFile(join(mount, 'small', 'made'), 'made')
    await installation.uploaded('drive')
    expect(but('GET list-type')).toEqual(['PUT'])
  })

  test('a folder is made: its name is looked up, then one', async () => {
    await mkdir(join(mount, 'made'))
    await installation.uploaded('drive')
    expect(but('GET list-type')).toEqual(['HEAD', 'HEAD', 'PUT'])
  })

  test('a folder of 100 files is renamed: four for each (source, target, copy, and before the removal), and the removals together', async () => {
    await readdir(join(mount, 'renamed'))
    proxy.seen.length = 0
    await rename(join(mount, 'renamed'), join(mount, 'renamed to'))
    await installation.uploaded('drive')
    const counts: Record<string, number> = {}
    for (const one of asked()) counts[one] = (counts[one] ?? 0) + 1
    const { HEAD = 0, PUT = 0, DELETE = 0, 'POST delete': together = 0 } = counts
    // One more for the folder.
    expect(PUT).toBe(101)
    expect(HEAD).toBeLessThanOrEqual(305)
    expect(DELETE + together).toBeLessThanOrEqual(60)
    expect((await listAll(truth, at('renamed to'))).length).toBe(100)
    expect((await listAll(truth, at())).map(({ name }) => name.toString())).not.toContain('renamed')
  })
})

/** The query that says what is meant, without its value. */
function operationOf(url: string): string {
  const query = new URL(url, 'http://host').searchParams
  return ['list-type', 'delete', 'uploads', 'partNumber', 'uploadId'].find((name) => query.has(name)) ?? ''
}
