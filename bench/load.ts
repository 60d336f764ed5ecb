/**
 * One piece of work on a folder, in a process of its own: a hanging mount then hangs nobody else.
 * Argument: a Step as JSON. Prints the measured value.
 */
import { execFileSync } from 'node:child_process'
import type { ExecFileSyncOptions } from 'node:child_process'
import { closeSync, constants, fsyncSync, mkdirSync, openSync, readdirSync, readSync, statSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import type { Step } from './steps.ts'

const mb = 1e6
const block = 1024 * 1024

function seconds(work: () => void): number {
  const begun = performance.now()
  work()
  return (performance.now() - begun) / 1000
}

function readAll(path: string, chunk: Buffer): number {
  const fd = openSync(path, constants.O_RDONLY)
  let bytes = 0
  for (let got = readSync(fd, chunk); got > 0; got = readSync(fd, chunk)) bytes += got
  closeSync(fd)
  return bytes
}

function readFile(path: string, blockSize: number): number {
  const chunk = Buffer.alloc(blockSize)
  let bytes = 0
  const time = seconds(() => (bytes = readAll(path, chunk)))
  return bytes / mb / time
}

function writeFile(path: string, size: number, blockSize: number): number {
  const chunk = Buffer.alloc(blockSize, 'a line of text that does not compress to nothing at once\n')
  return (
    size /
    mb /
    seconds(() => {
      const fd = openSync(path, 'w')
      for (let done = 0; done < size; done += blockSize) writeSync(fd, chunk)
      closeSync(fd)
    })
  )
}

function createMany(folder: string, count: number, size: number): number {
  const chunk = Buffer.alloc(size, 'x')
  const time = seconds(() => {
    mkdirSync(folder)
    for (let i = 0; i < count; i += 1) {
      const fd = openSync(join(folder, `file-${i}`), 'w')
      writeSync(fd, chunk)
      closeSync(fd)
    }
  })
  return count / time
}

async function readMany(folder: string, readers: number): Promise<number> {
  const names = readdirSync(folder)
  const begun = performance.now()
  if (readers === 1) {
    const chunk = Buffer.alloc(block)
    for (const name of names) readAll(join(folder, name), chunk)
  } else {
    let next = 0
    const reader = async (): Promise<void> => {
      const chunk = Buffer.alloc(block)
      for (let name = names[next++]; name !== undefined; name = names[next++]) {
        const file = await open(join(folder, name))
        while ((await file.read(chunk)).bytesRead > 0);
        await file.close()
      }
    }
    await Promise.all(Array.from({ length: readers }, reader))
  }
  return names.length / ((performance.now() - begun) / 1000)
}

function absent(folder: string, count: number, distinct: boolean): number {
  const time = seconds(() => {
    for (let i = 0; i < count; i += 1) {
      if (statSync(join(folder, distinct ? `absent-${i}` : `absent-${i % 10}`), { throwIfNoEntry: false })) throw new Error('it exists')
    }
  })
  return count / time
}

function randomReads(path: string, count: number): number {
  const blocks = Math.floor(statSync(path).size / 4096)
  const chunk = Buffer.alloc(4096)
  const fd = openSync(path, constants.O_RDONLY)
  let seed = 12345
  const time = seconds(() => {
    for (let i = 0; i < count; i += 1) {
      seed = (seed * 1103515245 + 12345) % 2147483648
      readSync(fd, chunk, 0, 4096, (seed % blocks) * 4096)
    }
  })
  closeSync(fd)
  return count / time
}

function readTail(path: string): number {
  return (
    1000 *
    seconds(() => {
      const fd = openSync(path, constants.O_RDONLY)
      readSync(fd, Buffer.alloc(4096), 0, 4096, statSync(path).size - 4096)
      closeSync(fd)
    })
  )
}

function commits(path: string, count: number): number {
  const database = new Database(path)
  database.exec('CREATE TABLE t (i INTEGER PRIMARY KEY, x TEXT)')
  const insert = database.prepare('INSERT INTO t (x) VALUES (?)')
  const time = seconds(() => {
    for (let i = 0; i < count; i += 1) insert.run(`value ${i}`)
  })
  database.close()
  return count / time
}

function syncs(path: string, count: number): number {
  const fd = openSync(path, 'w')
  const time = seconds(() => {
    for (let i = 0; i < count; i += 1) {
      writeSync(fd, 'x')
      fsyncSync(fd)
    }
  })
  closeSync(fd)
  return count / time
}

const quiet: ExecFileSyncOptions = {
  stdio: ['ignore', 'ignore', 'inherit'],
  env: { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', LC_ALL: 'C' },
}

function measure(step: Step, folder: string): number | Promise<number> {
  switch (step.do) {
    case 'read':
      return readFile(join(folder, step.file), step.block)
    case 'write':
      return writeFile(join(folder, step.file), step.size, step.block)
    case 'create':
      return createMany(join(folder, step.folder), step.count, step.size)
    case 'remove': {
      const names = readdirSync(join(folder, step.folder)).length
      return names / seconds(() => execFileSync('rm', ['-r', join(folder, step.folder)], quiet))
    }
    case 'read-many':
      return readMany(folder, step.readers)
    case 'list':
      return seconds(() => execFileSync('ls', ['-l', join(folder, step.folder)], quiet))
    case 'absent':
      return absent(folder, step.count, step.distinct)
    case 'tail':
      return readTail(join(folder, step.file))
    case 'random':
      return randomReads(join(folder, step.file), step.count)
    case 'clone':
      return seconds(() => execFileSync('git', ['clone', '-q', '--no-hardlinks', step.source, join(folder, 'clone')], quiet))
    case 'status':
      return seconds(() => execFileSync('git', ['-C', join(folder, 'clone'), 'status', '--porcelain'], quiet))
    case 'commits':
      return commits(join(folder, 'bench.db'), step.count)
    case 'syncs':
      return syncs(join(folder, 'synced'), step.count)
  }
}

const { step, folder } = JSON.parse(process.argv[2] ?? '') as { step: Step; folder: string }
process.stdout.write(String(await measure(step, folder)))
