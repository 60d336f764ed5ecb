import type { DescFile } from '@bufbuild/protobuf'
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { file_grpc_health_v1_health } from './gen/grpc/health/v1/health_pb.js'
import { file_cloudmoor_v1_mount } from './gen/cloudmoor/v1/mount_pb.js'
import { file_cloudmoor_v1_system } from './gen/cloudmoor/v1/system_pb.js'
import { findPolicyFaults, loadContract } from './policy-faults.ts'

const run = promisify(execFile)
const proto = fileURLToPath(new URL('.', import.meta.url))

it('every method has its policy and its HTTP rule', async () => {
  const files = await loadContract()
  expect(files.flatMap((file) => file.services).length).toBeGreaterThanOrEqual(7)
  expect(findPolicyFaults(files)).toEqual([])
})

it('a method without a policy is found', () => {
  expect(findPolicyFaults([file_grpc_health_v1_health])).toContain('grpc.health.v1.Health.Check has no policy')
})

it('a field that names a mount is found when the policy does not name it', () => {
  const get = file_cloudmoor_v1_mount.services[0]?.methods.find((method) => method.name === 'GetMount')
  const list = file_cloudmoor_v1_mount.services[0]?.methods.find((method) => method.name === 'ListMounts')
  if (get === undefined || list === undefined) throw new Error('the contract has changed')
  // ListMounts' policy on a request with an id.
  const planted = Object.create(list, { input: { value: get.input }, name: { value: 'Planted' } })
  const file: DescFile = Object.create(file_cloudmoor_v1_mount, { services: { value: [{ methods: [planted] }] } })
  expect(findPolicyFaults([file])).toEqual(["cloudmoor.v1.MountService.Planted carries a mount in id, but mount_field is ''"])
})

it('an answer that tells of mounts is found when it is neither filtered nor about one', () => {
  const version = file_cloudmoor_v1_system.services[0]?.methods.find((method) => method.name === 'GetVersion')
  const list = file_cloudmoor_v1_mount.services[0]?.methods.find((method) => method.name === 'ListMounts')
  if (version === undefined || list === undefined) throw new Error('the contract has changed')
  // GetVersion's policy on an answer with mounts.
  const planted = Object.create(version, { output: { value: list.output }, name: { value: 'Planted' } })
  const file: DescFile = Object.create(file_cloudmoor_v1_system, { services: { value: [{ methods: [planted] }] } })
  expect(findPolicyFaults([file])).toContain('cloudmoor.v1.SystemService.Planted tells of mounts, but is not filtered')
})

it('the committed code is what the contract generates', async () => {
  const copy = await mkdtemp(join(tmpdir(), 'proto-'))
  try {
    for (const name of ['buf.yaml', 'buf.gen.yaml', 'cloudmoor', 'google', 'grpc'])
      await cp(join(proto, name), join(copy, name), { recursive: true })
    const bin = fileURLToPath(new URL('../node_modules/.bin', import.meta.url))
    const options = { cwd: copy, env: { ...process.env, PATH: `${bin}:${process.env['PATH'] ?? ''}` } }
    await run('buf', ['format', '--diff', '--exit-code'], options)
    await run('buf', ['lint'], options)
    await run('buf', ['generate'], options)
    await run(process.execPath, ['--experimental-strip-types', join(proto, 'openapi/write-openapi.ts'), join(copy, 'gen/openapi.json')])
    expect(await readTree(join(copy, 'gen'))).toEqual(await readTree(join(proto, 'gen')))
  } finally {
    await rm(copy, { recursive: true })
  }
})

it('what the last release has is still there, and a field that goes is found', async () => {
  const bin = fileURLToPath(new URL('../node_modules/.bin/buf', import.meta.url))
  const against = ['breaking', '--against', join(proto, 'released.binpb')]
  await run(bin, [...against, proto])
  const copy = await mkdtemp(join(tmpdir(), 'proto-'))
  try {
    for (const name of ['buf.yaml', 'cloudmoor', 'google', 'grpc']) await cp(join(proto, name), join(copy, name), { recursive: true })
    const file = join(copy, 'cloudmoor/v1/browse.proto')
    const text = await readFile(file, 'utf8')
    await writeFile(file, text.replace(/^  string remote_root = .*$|^  string path = .*$/m, ''))
    expect(await readFile(file, 'utf8')).not.toBe(text)
    await expect(run(bin, [...against, copy])).rejects.toMatchObject({ stdout: expect.stringMatching(/was deleted/) })
  } finally {
    await rm(copy, { recursive: true })
  }
})

async function readTree(folder: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {}
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isFile()) files[path.slice(folder.length)] = await readFile(path, 'utf8')
  }
  return files
}
