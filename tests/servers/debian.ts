/** Debian programs for tests, unpacked into the tool cache: no root, no system service, nothing on this machine changes. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { toolCache } from './tool.ts'

export interface DebianTool {
  /** Folder in the cache. */
  readonly folder: string
  readonly packages: readonly string[]
  /** Below the unpacked root: proof that it is whole. */
  readonly program: string
}

/** Unpacked packages: `root` stands for `/`; `libraries` belongs into LD_LIBRARY_PATH. */
export interface Unpacked {
  readonly root: string
  readonly libraries: string
}

const run = promisify(execFile)

/** Fetches at most once; or says why there is nothing. */
export async function findDebianTool(tool: DebianTool): Promise<Unpacked | { readonly missing: string }> {
  const root = join(toolCache(), tool.folder)
  if (!existsSync(join(root, tool.program))) {
    try {
      await unpack(tool.packages, root)
    } catch (error) {
      const reason = error instanceof Error ? error.message.slice(0, 300) : String(error)
      return { missing: `${tool.packages.join(', ')} could not be had from apt: ${reason}` }
    }
  }
  const folders = await readdir(join(root, 'usr/lib'))
  return { root, libraries: join(root, 'usr/lib', folders.find((name) => name.endsWith('-linux-gnu')) ?? '') }
}

async function unpack(packages: readonly string[], root: string): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), 'cloudmoor-debs-'))
  const download = () => run('apt-get', ['download', ...packages], { cwd: work, timeout: 120_000 })
  try {
    // Fresh machines have no lists yet.
    await download().catch(async () => {
      await run('apt-get', ['update'], { timeout: 120_000 })
      await download()
    })
    const whole = join(work, 'root')
    await mkdir(whole)
    for (const name of await readdir(work)) if (name.endsWith('.deb')) await run('dpkg-deb', ['-x', join(work, name), whole])
    await mkdir(toolCache(), { recursive: true })
    const beside = `${root}.${process.pid}`
    await run('cp', ['-a', whole, beside])
    // Somebody else may have been faster.
    await rename(beside, root).catch(() => rm(beside, { recursive: true, force: true }))
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}
