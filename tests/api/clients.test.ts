import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import type { DescMethod, Message } from '@bufbuild/protobuf'
import { credentials, makeGenericClientConstructor, status } from '@grpc/grpc-js'
import type { Client, ServiceError } from '@grpc/grpc-js'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import openapiTS, { astToString } from 'openapi-typescript'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import openApi from '../../proto/gen/openapi.json' with { type: 'json' }
import { EventService } from '../../proto/gen/cloudmoor/v1/event_pb.js'
import { MountService } from '../../proto/gen/cloudmoor/v1/mount_pb.js'
import { SystemService } from '../../proto/gen/cloudmoor/v1/system_pb.js'
import { shellBlocks } from '../docs/documented-commands.ts'
import { projectRoot } from '../docs/project-root.ts'
import { findGrpcurl } from '../servers/grpcurl.ts'
import { startTestService } from '../support/test-service.ts'
import type { TestService } from '../support/test-service.ts'

const run = promisify(execFile)
let service: TestService

beforeAll(async () => {
  service = await startTestService()
})
afterAll(() => service.stop())

describe('a plain gRPC client', () => {
  let client: Client
  const definition = (method: DescMethod) => ({
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: false,
    responseStream: method.methodKind === 'server_streaming',
    requestSerialize: (message: Message) => Buffer.from(toBinary(method.input, message)),
    requestDeserialize: (bytes: Buffer) => fromBinary(method.input, bytes),
    responseSerialize: (message: Message) => Buffer.from(toBinary(method.output, message)),
    responseDeserialize: (bytes: Buffer) => fromBinary(method.output, bytes),
  })
  beforeAll(() => {
    const Generic = makeGenericClientConstructor({}, 'cloudmoor')
    client = new Generic(`unix:${service.places.socket}`, credentials.createInsecure())
  })
  afterAll(() => client.close())

  function unary(method: DescMethod, fields: Record<string, unknown>): Promise<Message> {
    const { path, requestSerialize, responseDeserialize } = definition(method)
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, create(method.input, fields), (error, answer) => {
        if (error !== null) reject(error)
        else if (answer !== undefined) resolve(answer)
      })
    })
  }

  it('calls, and gets errors with their details', async () => {
    expect(await unary(SystemService.method.getVersion, {})).toMatchObject({ version: '1.2.3' })
    const failure = await unary(MountService.method.getMount, { id: 'absent' }).catch((caught: unknown) => caught as ServiceError)
    expect(failure).toMatchObject({ code: status.NOT_FOUND })
    const details = String((failure as ServiceError).metadata.get('grpc-status-details-bin')[0])
    expect(details).toContain('google.rpc.ErrorInfo')
    const broken = await unary(MountService.method.listMounts, { pageSize: -1 }).catch((caught: unknown) => caught as ServiceError)
    expect(broken).toMatchObject({ code: status.INVALID_ARGUMENT })
  })

  it('reads a stream', async () => {
    const { path, requestSerialize, responseDeserialize } = definition(EventService.method.watch)
    const stream = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, create(EventService.method.watch.input, {}))
    stream.on('error', () => {})
    const first = await new Promise((resolve) => stream.once('data', resolve))
    expect(first).toMatchObject({ content: { case: 'snapshot' } })
    stream.cancel()
  })
})

it('a client made by openapi-typescript type-checks and works', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'cloudmoor-client-'))
  try {
    const types = astToString(await openapiTS(JSON.stringify(openApi)))
    await writeFile(join(folder, 'api.d.ts'), types)
    await writeFile(join(folder, 'package.json'), '{"type": "module"}')
    await writeFile(join(folder, 'client.ts'), clientSource)
    const tsc = join(projectRoot, 'node_modules/.bin/tsc')
    const flags = [
      '--ignoreConfig',
      '--noEmit',
      '--strict',
      '--skipLibCheck',
      '--module',
      'nodenext',
      '--target',
      'es2024',
      '--allowImportingTsExtensions',
    ]
    const typesOfNode = ['--types', 'node', '--typeRoots', join(projectRoot, 'node_modules/@types')]
    await run(tsc, [...flags, ...typesOfNode, join(folder, 'client.ts')])
    const { stdout } = await run(process.execPath, ['--experimental-strip-types', join(folder, 'client.ts'), service.places.socket])
    expect(JSON.parse(stdout)).toEqual({ version: '1.2.3', made: 'typed', found: 1 })
    await writeFile(join(folder, 'wrong.ts'), `${clientSource}\nconst wrong: Version = { version: 5 }\nconsole.log(wrong)\n`)
    await expect(run(tsc, [...flags, ...typesOfNode, join(folder, 'wrong.ts')])).rejects.toThrow(/./)
  } finally {
    await rm(folder, { recursive: true })
  }
}, 120_000)

const clientSource = `
import { request } from 'node:http'
import type { paths } from './api.d.ts'

type Version = paths['/api/v1/system/version']['get']['responses'][200]['content']['application/json']
type NewProvider = paths['/api/v1/providers']['post']['requestBody']['content']['application/json']
type Provider = paths['/api/v1/providers']['post']['responses'][200]['content']['application/json']
type Providers = paths['/api/v1/providers']['get']['responses'][200]['content']['application/json']

function call<Answer>(method: string, path: keyof paths | \`\${keyof paths}?\${string}\`, body?: unknown): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' }
    const asked = request({ socketPath: process.argv[2], method, path, headers }, (answer) => {
      let text = ''
      answer.on('data', (chunk: Buffer) => (text += chunk.toString()))
      answer.on('end', () => (answer.statusCode === 200 ? resolve(JSON.parse(text) as Answer) : reject(new Error(text))))
    })
    asked.on('error', reject).end(body === undefined ? '' : JSON.stringify(body))
  })
}

const { version } = await call<Version>('GET', '/api/v1/system/version')
const draft: NewProvider = { provider: { name: 'typed', type: 'local', options: { path: '/srv' } } }
const made = await call<Provider>('POST', '/api/v1/providers', draft)
const { providers } = await call<Providers>('GET', '/api/v1/providers?name=typed')
console.log(JSON.stringify({ version, made: made.name, found: providers?.length }))
`

// Those of contents need a drive: contents.test.ts.
const blocks = shellBlocks().filter(({ place, text }) => place.startsWith('docs/api.md:') && !text.includes('$MOUNT_ID'))

it.for(blocks)('the lines of $place run', { timeout: 120_000 }, async ({ text }, { skip }) => {
  expect(blocks.length).toBe(2)
  const grpcurl = text.includes('grpcurl') ? await findGrpcurl() : { path: '' }
  if ('missing' in grpcurl) {
    skip(grpcurl.missing)
    return
  }
  const path = `${dirname(grpcurl.path)}${delimiter}${process.env['PATH'] ?? ''}`
  const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', text], { env: { PATH: path, CLOUDMOOR_HOME: service.places.state } })
  expect(stdout).toContain(text.includes('grpcurl') ? 'rpc GetMount ( .cloudmoor.v1.GetMountRequest )' : 'cloudmoor_api_calls_total')
})
