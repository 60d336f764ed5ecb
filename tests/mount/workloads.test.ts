import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cloud, localCloud, minioCloud } from '../support/clouds.ts'
import { Installation, run, shell } from '../support/installation.ts'
import { workloads } from './workloads.ts'

const makers = { local: localCloud, minio: minioCloud }

interface Ground {
  readonly cloud: Cloud
  readonly installation: Installation
  readonly mount: string
  /** On the local disk; `expected/NAME` is what a workload leaves. */
  readonly scratch: string
}

/** Each workload on a real mount; afterwards everything is compared from the remote, by another installation with an empty cache. */
describe.each(['local', 'minio'] as const)('workloads on %s', (kind) => {
  let ground: Ground | { readonly missing: string } = { missing: 'the cloud did not start' }
  const done: string[] = []

  beforeAll(async () => {
    const cloud = await makers[kind]()
    if ('missing' in cloud) {
      ground = cloud
      return
    }
    const scratch = await mkdtemp(join(tmpdir(), 'cm-scratch-'))
    await mkdir(join(scratch, 'expected'))
    const installation = await Installation.create()
    await installation.account('cloud', cloud.account)
    ground = { cloud, installation, scratch, mount: await installation.mount('drive', 'cloud') }
  })

  afterAll(async () => {
    if ('missing' in ground) return
    await ground.installation[Symbol.asyncDispose]()
    await ground.cloud[Symbol.asyncDispose]()
    await rm(ground.scratch, { recursive: true, force: true })
  })

  const here = workloads.filter(({ only }) => only === undefined || only === kind)
  test.for(here)('$name', { timeout: 300_000 }, async ({ name, script, limit, needs = [] }, context) => {
    if ('missing' in ground) return context.skip(ground.missing)
    for (const program of needs) {
      if ((await run('/bin/sh', ['-c', `command -v ${program}`])).code !== 0) return context.skip(`${program} is not installed`)
    }
    await mkdir(join(ground.scratch, name), { recursive: true })
    await shell(script, limit * 1000, { M: ground.mount, T: ground.scratch })
    done.push(name)
  })

  test('all of it is at the remote', { timeout: 300_000 }, async (context) => {
    if ('missing' in ground) return context.skip(ground.missing)
    const { installation, cloud, scratch, mount } = ground
    expect(done.length).toBeGreaterThan(5)
    await installation.uploaded('drive', 240_000)
    await using fresh = await Installation.create()
    await fresh.account('cloud', cloud.account)
    const copy = await fresh.mount('check', 'cloud', ['--read-only', '--option', 'attributes=exact'])
    for (const name of done) await shell(`diff -r --no-dereference "${scratch}/expected/${name}" "${copy}/${name}"`, 120_000)
    await shell(`test "$(ls -A "${copy}" | sort | tr '\\n' ' ')" = "$(ls -A "${mount}" | sort | tr '\\n' ' ')"`)
  })
})
