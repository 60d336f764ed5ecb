/** Finds a program that tests need: on the PATH, in the tool cache, or built into the cache. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
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

/** A path, or the reason why there is none. */
export type Found = { readonly path: string } | { readonly missing: string }

export function toolCache(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'cloudmoor-tools')
}

/** Builds at most once; a build takes minutes. */
export async function findGoTool(tool: GoTool): Promise<Found> {
  const onPath = whereOnPath(tool.name)
  if (onPath) return { path: onPath }
  const folder = join(toolCache(), tool.folder)
  const cached = join(folder, tool.name)
  if (existsSync(cached)) return { path: cached }
  const go = whereOnPath('go')
  if (!go) return { missing: `${tool.name} is not on the PATH and not in ${folder}, and there is no Go to build it` }
  await mkdir(folder, { recursive: true })
  try {
    await promisify(execFile)(go, ['install', tool.module], { env: { ...process.env, GOBIN: folder }, timeout: 900_000 })
  } catch (error) {
    return { missing: `go install ${tool.module} failed: ${error instanceof Error ? error.message.slice(0, 300) : String(error)}` }
  }
  return existsSync(cached) ? { path: cached } : { missing: `go install ${tool.module} made no ${tool.name}` }
}

function whereOnPath(name: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
}
