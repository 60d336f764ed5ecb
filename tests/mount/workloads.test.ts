import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cloud, localCloud, minioCloud } from '../support/clouds.ts'
import { Installation, run, shell } from '../support/installation.ts'
import { workloads } from './workloads.ts'

const makers = { local: localCloud, minio: minioCloud }

/** Each workload on a real mount; afterwards everything is compared from the remote, by another installation with an empty cache. */
describe.each(['local', 'minio'] as const)('workloads on %s', (kind) => {
  let cloud: Cloud | undefined
  let missing: string | undefined
  let installation: Installation
  let mount: string
  let scratch: string
  const done: string[] = []

  beforeAll(async () => {
    const made = await makers[kind]()
    if ('missing' in made) {
      missing = made.missing
      return
    }
    cloud = made
    scratch = await mkdtemp(join(tmpdir(), 'cm-scratch-'))
    await mkdir(join(scratch, 'expected'))
    installation = await Installation.create()
    await installation.account('cloud', cloud.account)
    mount = await installation.mount('drive', 'cloud')
  })

  afterAll(async () => {
    await installation?.[Symbol.asyncDispose]()
    await cloud?.[Symbol.asyncDispose]()
    if (scratch !== undefined) await rm(scratch, { recursive: true, force: true })
  })

  test.for(workloads)('$name', { timeout: 300_000 }, async ({ name, script, limit, needs = [] }, context) => {
    if (missing !== undefined) return context.skip(missing)
    for (const program of needs) {
      if ((await run('/bin/sh', ['-c', `command -v ${program}`])).code !== 0) return context.skip(`${program} is not installed`)
    }
    await mkdir(join(scratch, name), { recursive: true })
    await shell(`${script}`, limit * 1000, { M: mount, T: scratch })
    done.push(name)
  })

  test('all of it is at the remote', { timeout: 300_000 }, async (context) => {
    if (missing !== undefined || cloud === undefined) return context.skip(missing ?? 'no cloud')
    expect(done.length).toBeGreaterThan(5)
    await installation.uploaded('drive', 180_000)
    await using fresh = await Installation.create()
    await fresh.account('cloud', cloud.account)
    const copy = await fresh.mount('check', 'cloud', ['--read-only', '--option', 'attributes=exact'])
    for (const name of done) await shell(`diff -r --no-dereference "${scratch}/expected/${name}" "${copy}/${name}"`, 120_000)
    await shell(`test "$(ls -A "${copy}" | sort | tr '\\n' ' ')" = "$(ls -A "${mount}" | sort | tr '\\n' ' ')"`)
  })
})
