import { randomBytes } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { connectService } from '../../../proto/client/connect.ts'
import { LogLevel } from '../../../proto/gen/cloudmoor/v1/log_pb.js'
import { startTestService } from '../../../tests/support/test-service.ts'
import type { TestService } from '../../../tests/support/test-service.ts'
import { CloudError } from '../../common/errors.ts'

let service: TestService
beforeEach(async () => {
  service = await startTestService()
})
afterEach(() => service.stop())

const secrets = Array.from({ length: 20 }, (_, number) => `canary-${number}-${randomBytes(12).toString('hex')}`)

/** Where a secret stands: files below the home (database, journal and logs among them), texts, and what /proc shows of this process. */
async function leaks(texts: readonly string[]): Promise<string[]> {
  const found: string[] = []
  const look = (place: string, bytes: Buffer) => {
    for (const secret of secrets) {
      const shapes = [
        secret,
        Buffer.from(secret).toString('base64').slice(0, 24),
        Buffer.from(secret).toString('hex'),
        encodeURIComponent(secret),
      ]
      if (shapes.some((shape) => bytes.includes(shape))) found.push(place)
    }
  }
  for (const entry of await readdir(service.places.state, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isFile()) look(path, await readFile(path))
  }
  texts.forEach((text, index) => look(`text ${index}`, Buffer.from(text)))
  for (const name of ['environ', 'cmdline']) look(`/proc/self/${name}`, await readFile(`/proc/self/${name}`).catch(() => Buffer.alloc(0)))
  return found
}

function textOf(caught: unknown): string {
  const own = caught instanceof Error ? `${caught.message} ${caught.stack} ${JSON.stringify(Object.entries(caught))}` : ''
  return `${own} ${JSON.stringify(caught)}`
}

it('finds a leak wherever one is planted', async () => {
  const [secret = ''] = secrets
  expect(await leaks([])).toEqual([])
  expect(await leaks([`x ${secret} y`])).toEqual(['text 0'])
  await service.store.settings.set('planted', secret)
  service.log.write('info', `planted ${secret}`)
  await writeFile(join(service.places.run, 'planted'), Buffer.from(secret).toString('hex'))
  await new Promise((resolve) => setTimeout(resolve, 100))
  const places = (await leaks([])).map((path) => path.slice(service.places.state.length))
  expect(places.sort()).toEqual(['/logs/service.log', '/run/planted', '/service.db-wal'])
})

it('no secret is found anywhere after it went through everything', async () => {
  const client = connectService(service.places.socket, { protocol: 'http2' })
  const texts: string[] = []
  const note = async (call: Promise<unknown>) => {
    texts.push(
      await call.then(
        (answer) => JSON.stringify(answer, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
        textOf,
      ),
    )
  }
  const reached: string[] = []
  service.mounts.onProbe = (account) => {
    const values = Object.values(account.secrets)
    reached.push(...values.map((value) => value.reveal()))
    service.log.write('error', `probing with ${values.join()}`, { account, secrets: account.secrets, password: values[0]?.reveal() })
    return Promise.reject(
      new CloudError('sign-in', 'refused', {
        code: 'SignatureDoesNotMatch',
        cause: new Error(`for https://AK:${values[0]?.reveal()}@host/?sig=${values[0]?.reveal()}`),
      }),
    )
  }
  for (const [number, secret] of secrets.entries()) {
    const next = secrets[(number + 1) % secrets.length] ?? ''
    const provider = { name: `p${number}`, type: 's3', options: { accessKeyId: 'AK', endpoint: 'http://h' } }
    await note(
      client.providers.createProvider({ provider, secrets: { secretAccessKey: secret, sessionToken: next }, requestId: `r${number}` }),
    )
    await note(
      client.providers.createProvider({ provider: { ...provider, name: 'refused' }, secrets: { secretAccessKey: secret }, test: true }),
    )
    await note(client.providers.createProvider({ provider, secrets: { secretAccessKey: secret } }))
    await note(client.providers.createProvider({ provider, secrets: { secretAccesKey: secret, bucket: secret } }))
    await note(client.providers.createProvider({ provider: { ...provider, options: { secretAccessKey: secret } } }))
    await note(
      client.providers.createProvider({
        provider: { ...provider, options: { pathStyle: secret, region: secret } },
        secrets: { secretAccessKey: secret },
      }),
    )
    const { providers } = await client.providers.listProviders({ name: `p${number}` })
    const id = providers[0]?.id ?? ''
    await note(client.providers.testProvider({ id }))
    await note(client.providers.updateProvider({ provider: { id }, secrets: { secretAccessKey: next } }))
    await note(
      client.providers.updateProvider({
        provider: { id, options: { endpoint: 'http://other' } },
        updateMask: { paths: ['options'] },
        secrets: { sessionToken: secret },
      }),
    )
    await note(client.providers.listProviders({}))
    await note(client.providers.testProvider({ id }))
    if (number % 2 === 0) await note(client.providers.removeProvider({ id }))
  }
  await note(
    (async () => {
      const lines: unknown[] = []
      for await (const { entries } of client.logs.tailLogs({ lines: 10_000, minLevel: LogLevel.DEBUG })) lines.push(...entries)
      expect(lines.length).toBeGreaterThan(100)
      return lines
    })(),
  )
  client.close()
  // The secrets did arrive where they are used: what is looked for was really there.
  expect(new Set(reached)).toEqual(new Set(secrets))
  expect(texts.filter((text) => text.includes('SIGN_IN') || text.includes('refused')).length).toBeGreaterThan(0)
  expect(await leaks(texts)).toEqual([])
})
