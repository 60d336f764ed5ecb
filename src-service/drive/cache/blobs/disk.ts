import { type BigIntStats, close, constants, fdatasync, fstat, fsync, ftruncate, open, read, write } from 'node:fs'
import { mkdir, readdir, readFile, rename, stat, statfs, unlink, writeFile } from 'node:fs/promises'
import { CloudError } from '../../../common/errors.ts'
import { makeNow, writeNow } from './disk-now.ts'
import { lockFolder } from './folder-lock.ts'

export interface FileFacts {
  readonly size: number
  readonly mtimeSec: number
  readonly mtimeNsec: number
  /** Bytes that the file takes on the disk. */
  readonly allocated: number
}

/**
 * The local disk, on the thread pool but for `…Now` (see `PromptDisk`). Failures are CloudErrors: `no-space` for a full disk, `io` for a broken one,
 * `not-found` where a file is not there.
 */
export interface Disk {
  /** Opens a blob for reading and writing; with `create` it is made if absent. */
  open(path: string, create: boolean): Promise<number>
  openToRead(path: string): Promise<number>
  close(fd: number): Promise<void>
  /** Bytes read; fewer than `length` only at the end of the file. */
  read(fd: number, target: Uint8Array, offset: number, length: number, position: number): Promise<number>
  /** Bytes written; fewer than `length` if the disk filled up or failed midway. */
  write(fd: number, data: Uint8Array, offset: number, length: number, position: number): Promise<number>
  /** Makes a blob on the calling thread; -1 if that failed. */
  makeNow(path: string): number
  /** Writes on the calling thread; fewer bytes than `length`, or -1, if that failed. */
  writeNow(fd: number, data: Uint8Array, offset: number, length: number, position: number): number
  truncate(fd: number, size: number): Promise<void>
  datasync(fd: number): Promise<void>
  /** fsync of a folder: names made in it are durable. */
  syncFolder(path: string): Promise<void>
  facts(fd: number): Promise<FileFacts>
  /** undefined if there is no such file. */
  factsAt(path: string): Promise<FileFacts | undefined>
  makeFolder(path: string): Promise<void>
  /** Names in a folder; none if it is absent. */
  list(path: string): Promise<string[]>
  /** Resolves also if it was absent. */
  remove(path: string): Promise<void>
  move(from: string, to: string): Promise<void>
  readText(path: string): Promise<string | undefined>
  writeText(path: string, text: string): Promise<void>
  /** Bytes that the file system of `path` has left for this user. */
  free(path: string): Promise<number>
  /** Exclusive use of a folder until the process ends or the result is called. @throws busy after `waitMs` */
  lock(folder: string, waitMs: number): Promise<() => void>
}

export const localDisk: Disk = {
  open: (path, create) => call((done) => open(path, constants.O_RDWR | (create ? constants.O_CREAT : 0), 0o600, done)),
  openToRead: (path) => call((done) => open(path, constants.O_RDONLY, done)),
  close: (fd) => callVoid((done) => close(fd, done)),
  async read(fd, target, offset, length, position) {
    let done = 0
    while (done < length) {
      const got = await call<number>((next) => read(fd, target, offset + done, length - done, position + done, next))
      if (got === 0) break
      done += got
    }
    return done
  },
  async write(fd, data, offset, length, position) {
    let done = 0
    while (done < length) {
      try {
        done += await call<number>((next) => write(fd, data, offset + done, length - done, position + done, next))
      } catch (error) {
        if (done === 0) throw error
        break
      }
    }
    return done
  },
  makeNow,
  writeNow,
  truncate: (fd, size) => callVoid((done) => ftruncate(fd, size, done)),
  datasync: (fd) => callVoid((done) => fdatasync(fd, done)),
  async syncFolder(path) {
    const fd = await localDisk.openToRead(path)
    try {
      await callVoid((done) => fsync(fd, done))
    } finally {
      await localDisk.close(fd)
    }
  },
  facts: async (fd) => factsOf(await call<BigIntStats>((done) => fstat(fd, { bigint: true }, done))),
  async factsAt(path) {
    const stats = await absentIsUndefined(stat(path, { bigint: true }))
    return stats === undefined ? undefined : factsOf(stats)
  },
  makeFolder: (path) => normal(mkdir(path, { recursive: true, mode: 0o700 }).then(() => undefined)),
  list: async (path) => (await absentIsUndefined(readdir(path))) ?? [],
  async remove(path) {
    await absentIsUndefined(unlink(path))
  },
  move: (from, to) => normal(rename(from, to)),
  readText: (path) => absentIsUndefined(readFile(path, 'utf8')),
  writeText: (path, text) => normal(writeFile(path, text, { mode: 0o600, flush: true })),
  async free(path) {
    const facts = await normal(statfs(path))
    return facts.bavail * facts.bsize
  },
  lock: lockFolder,
}

function factsOf(stats: BigIntStats): FileFacts {
  return {
    size: Number(stats.size),
    mtimeSec: Number(stats.mtimeNs / 1_000_000_000n),
    mtimeNsec: Number(stats.mtimeNs % 1_000_000_000n),
    allocated: Number(stats.blocks) * 512,
  }
}

function call<T>(start: (done: (error: Error | null, value: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => {
      if (error === null) resolve(value)
      else reject(CloudError.from(error))
    })
  })
}

function callVoid(start: (done: (error: Error | null) => void) => void): Promise<void> {
  return call<undefined>((done) => start((error) => done(error, undefined)))
}

async function normal<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw CloudError.from(error)
  }
}

async function absentIsUndefined<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    const known = CloudError.from(error)
    if (known.kind === 'not-found') return undefined
    throw known
  }
}
