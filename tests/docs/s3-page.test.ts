/** docs/providers/s3.md: its table is what was measured, and its steps work with its policy. */
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { rawClient } from '../conformance/s3-bench.ts'
import { s3Sheets } from '../conformance/s3-sheets.ts'
import { findMinio, startMinio } from '../servers/minio.ts'
import { Installation, shell } from '../support/installation.ts'
import { makeMinioUser } from '../support/minio-user.ts'
import { projectRoot } from './project-root.ts'

const page = await readFile(join(projectRoot, 'docs/providers/s3.md'), 'utf8')
const deadline = () => AbortSignal.timeout(15_000)

test('the table of servers is what the conformance suite pins', () => {
  const servers = Object.keys(s3Sheets) as (keyof typeof s3Sheets)[]
  const checks = Object.keys(s3Sheets.MinIO) as (keyof typeof s3Sheets.MinIO)[]
  const rows = [
    ['', ...servers],
    ['---', ...servers.map(() => '---')],
    ...checks.map((check) => [check, ...servers.map((server) => s3Sheets[server][check])]),
  ]
  const table = rows
    .map((cells) => `|${cells.map((cell) => (cell === '---' ? cell : ` ${cell} `)).join('|')}|`.replace('|  |', '| |'))
    .join('\n')
  expect(/<!-- sheets -->\n(.*)\n<!-- \/sheets -->/s.exec(page)?.[1]).toBe(table)
})

const found = await findMinio()

test('the steps work, with no more rights than the policy gives', { timeout: 120_000 }, async ({ skip }) => {
  if ('missing' in found) skip(`MinIO: ${found.missing}`)
  if (!existsSync('/dev/fuse')) skip('mounts need /dev/fuse')
  if (!('path' in found)) return
  await using installation = await Installation.create()
  const server = await startMinio(found.path)
  const client = rawClient(server)
  try {
    const bucket = 'my-bucket'
    await client.head({ method: 'PUT', bucket, key: Buffer.alloc(0), headers: { 'content-length': '0' } }, deadline())
    const policy = Buffer.from(/```json\n(.*?)```/s.exec(page)?.[1] ?? '')
    const added = { method: 'PUT' as const, bucket: null, key: Buffer.from('minio/admin/v3/add-canned-policy') }
    const headers = { 'content-length': String(policy.length) }
    await client.head({ ...added, query: [['name', 'smallest']], headers, body: policy }, deadline())
    const user = await makeMinioUser(server, 'smallest')
    await writeFile(join(installation.folder, 'work.key'), user.secretAccessKey, { mode: 0o600 })
    const directory = join(installation.folder, 'work')
    await mkdir(directory)
    const steps = /## Connect\n.*?```sh\n(.*?)```/s.exec(page)?.[1] ?? 'false'
    const said = await shell(
      `cd '${installation.folder}'; cloudmoor() { '${join(projectRoot, 'bin/cloudmoor')}' "$@"; }; ${steps}`,
      90_000,
      {
        CLOUDMOOR_HOME: installation.home,
        ENDPOINT: server.endpoint,
        BUCKET: bucket,
        ACCESS_KEY: user.accessKeyId,
        DIRECTORY: directory,
      },
    )
    expect(said).toContain("account 'work' works")
    expect(said).toMatch(/conditional creation\s+yes/)
    await installation.cloudmoor(['mount', 'remove', 'work', '--wait', '30s'])
    const stored = await client.send({ method: 'GET', bucket, key: Buffer.from('hello.txt') }, deadline())
    expect(await stored.body.text(100)).toBe('hello\n')
    const other = await installation.attempt(['mount', 'add', 'again', '--provider', 'work', '--path', directory, '--now'])
    expect(other.code, other.stderr).toBe(0)
    await expect
      .poll(async () => (await installation.cloudmoor(['status', directory])).includes('conditional creation'), { timeout: 5000 })
      .toBe(false)
    await shell(`echo more > '${join(directory, 'more.txt')}'`)
    await expect
      .poll(async () => await installation.cloudmoor(['status', directory]), { timeout: 30_000, interval: 500 })
      .toMatch(/conditional creation\s+yes/)
  } finally {
    await client.close()
    await server.stop()
  }
})
