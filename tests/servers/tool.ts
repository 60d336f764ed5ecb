/** Finds a program that tests need: on the PATH, in the tool cache, or built into the cache. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

export interface GoTool {
  readonly name: string
  /** Folder in the cache: name and version. */
  readonly folder: string
  /** Argument of `go install`. */
  readonly module: string
}

export interface PythonTool {
  readonly name: string
  /** Folder in the cache, a virtual environment: name and version. */
  readonly folder: string
  /** Arguments of `pip install`, with versions. */
  readonly packages: readonly string[]
}

/** A path, or the reason why there is none. */
export type Found = { readonly path: string } | { readonly missing: string }

export function toolCache(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'cloudmoor-tools')
}

const run = promisify(execFile)

/** Builds at most once; a build takes minutes. */
export async function findGoTool(tool: GoTool): Promise<Found> {
  const folder = join(toolCache(), tool.folder)
  return await findOrMake(tool.name, join(folder, tool.name), 'go', async (go) => {
    await mkdir(folder, { recursive: true })
    await run(go, ['install', tool.module], { env: { ...process.env, GOBIN: folder }, timeout: 900_000 })
  })
}

/** Installs at most once, from PyPI into a virtual environment in the cache; takes a minute. */
export async function findPythonTool(tool: PythonTool): Promise<Found> {
  const folder = join(toolCache(), tool.folder)
  return await findOrMake(tool.name, join(folder, 'bin', tool.name), 'python3', async (python) => {
    // Its programs name it by its path, so it is made where it will stay; a half-made one is not found, and made anew.
    await rm(folder, { recursive: true, force: true })
    await run(python, ['-m', 'venv', folder], { timeout: 60_000 })
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check']
    await run(join(folder, 'bin/python3'), [...pip, ...tool.packages], { timeout: 300_000 })
  })
}

async function findOrMake(name: string, cached: string, maker: string, make: (maker: string) => Promise<void>): Promise<Found> {
  const onPath = whereOnPath(name)
  if (onPath) return { path: onPath }
  if (existsSync(cached)) return { path: cached }
  const found = whereOnPath(maker)
  if (!found) return { missing: `${name} is neither on the PATH nor at ${cached}, and there is no ${maker} to make it with` }
  try {
    await make(found)
  } catch (error) {
    return { missing: `${name} could not be made: ${error instanceof Error ? error.message.slice(0, 300) : String(error)}` }
  }
  return existsSync(cached) ? { path: cached } : { missing: `${maker} made no ${name}` }
}

export function whereOnPath(name: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
}
