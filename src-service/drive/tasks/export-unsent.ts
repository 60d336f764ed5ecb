import { mkdir, open, readdir, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CloudError } from '../../common/errors.ts'
import type { Exported } from '../../common/frames/drive-calls.ts'
import { fileType, isFile, isFolder, type NodeRow } from '../cache/tree.ts'
import type { TaskParts } from './task-parts.ts'

const copyAtOnce = 1024 * 1024
const fileMs = 600_000
const shownFailures = 100

interface Tally {
  files: number
  bytes: number
  failures: number
  readonly failed: { path: string; reason: string }[]
}

/**
 * Copies what is only here below `folder`, each file synced, under the path it has in the mount; what a power loss left unproved
 * goes to `quarantine/` in it. Nothing is changed in the drive. What cannot be had whole is told and left out.
 * @throws not-empty if something is in the folder already, not-found if there is no place to make it in
 */
export async function exportUnsent(parts: TaskParts, folder: string): Promise<Exported> {
  await makeFolder(folder)
  if ((await readdir(folder)).length > 0) {
    throw new CloudError('not-empty', `${folder} is not empty`, {
      hint: 'Name a folder that does not exist yet: nothing is ever replaced.',
    })
  }
  const tally: Tally = { files: 0, bytes: 0, failures: 0, failed: [] }
  for (const { name, node } of unsentNames(parts)) {
    const row = parts.tree.node(node)
    const known = parts.tree.nameById(name)
    if (row === undefined || known === undefined) continue
    const path = parts.tree.pathOf(known)
    await attempt(tally, path, () => copyNode(parts, row, placeBelow(folder, path), tally))
  }
  for (const { path, file } of unproved(parts)) {
    const from = join(parts.settings.folder, 'quarantine', file)
    await attempt(tally, path, async () => copyFile(from, placeBelow(folder, `quarantine/${file}-${path.replaceAll('/', '_')}`), tally))
  }
  return tally
}

/** One folder: making all that leads there never ends where nothing can be made, as in /proc. */
async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: 0o700 })
  } catch (caught) {
    const { code } = CloudError.from(caught)
    if (code === 'ENOENT') {
      throw new CloudError('not-found', `no folder can be made in ${dirname(folder)}`, {
        cause: caught,
        hint: 'Make that folder first, or name another one.',
      })
    }
    if (code !== 'EEXIST') throw caught
  }
}

async function attempt(tally: Tally, path: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (caught) {
    tally.failures++
    if (tally.failed.length < shownFailures) tally.failed.push({ path, reason: CloudError.from(caught).message })
  }
}

/** Names whose contents, or whose very existence, the provider has not confirmed; folders before what is in them. */
function unsentNames({ database }: TaskParts): readonly { name: number; node: number }[] {
  return database.sql
    .prepare<[], { name: number; node: number }>(
      `SELECT name.id AS name, name.node FROM queue JOIN name ON name.id = queue.name JOIN node ON node.id = name.node
       LEFT JOIN remote ON remote.id = name.remote WHERE remote.id IS NULL OR remote.content <> node.content ORDER BY name.id`,
    )
    .all()
}

function unproved({ database }: TaskParts): readonly { path: string; file: string }[] {
  const rows = database.sql.prepare<[], { path: Buffer; file: string }>('SELECT path, file FROM quarantine ORDER BY id').all()
  return rows.map(({ path, file }) => ({ path: path.toString(), file }))
}

function placeBelow(folder: string, path: string): string {
  if (path.split('/').some((name) => name === '' || name === '.' || name === '..')) {
    throw new CloudError('name-invalid', 'the name cannot be one of this machine')
  }
  return join(folder, path)
}

async function copyNode(parts: TaskParts, row: NodeRow, target: string, tally: Tally): Promise<void> {
  const isLink = (row.mode & fileType.mask) === fileType.symlink
  await mkdir(isFolder(row.mode) ? target : join(target, '..'), { recursive: true, mode: 0o700 })
  if (isLink && row.target !== null) await symlink(row.target, target)
  if (!isFile(row.mode)) return
  const source = await parts.contents.source(row.id, { snapshot: false })
  try {
    const signal = AbortSignal.timeout(fileMs)
    await write(target, tally, (at) => (at >= source.size ? null : source.read(at, Math.min(source.size, at + copyAtOnce), signal)))
  } finally {
    source.close()
  }
}

async function copyFile(from: string, target: string, tally: Tally): Promise<void> {
  await mkdir(join(target, '..'), { recursive: true, mode: 0o700 })
  const file = await open(from, 'r')
  try {
    const buffer = Buffer.allocUnsafe(copyAtOnce)
    await write(target, tally, async (at) => {
      const { bytesRead } = await file.read(buffer, 0, copyAtOnce, at)
      return bytesRead === 0 ? null : buffer.subarray(0, bytesRead)
    })
  } finally {
    await file.close()
  }
}

/** Makes the file, which must not be there, and syncs it. @param next the bytes from an offset on; null = no more */
async function write(target: string, tally: Tally, next: (at: number) => Promise<Buffer> | null | Promise<Buffer | null>): Promise<void> {
  const file = await open(target, 'wx', 0o600)
  let at = 0
  try {
    for (let bytes = await next(at); bytes !== null; bytes = await next(at)) {
      await file.writeFile(bytes)
      at += bytes.length
    }
    await file.sync()
  } finally {
    await file.close()
  }
  tally.files++
  tally.bytes += at
}
