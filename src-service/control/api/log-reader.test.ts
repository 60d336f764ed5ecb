import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openLogReader } from './log-reader.ts'
import type { LogReader } from './log-reader.ts'

let folder: string
let reader: LogReader
let service: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'logs-'))
  service = join(folder, 'service.log')
  reader = openLogReader(folder)
})
afterEach(async () => {
  await reader.close()
  await rm(folder, { recursive: true })
})

const line = (second: number, message: string) =>
  `${JSON.stringify({ time: new Date(second * 1000).toISOString(), level: 'info', program: 'service', pid: 1, message })}\n`
const any = () => true
const messages = async (lines: Promise<readonly { readonly message: string }[]>) => (await lines).map((entry) => entry.message)

it('merges files by time and passes over what is no line', async () => {
  await writeFile(service, line(1, 'a') + 'rubbish\n{"half":\n' + line(4, 'd'))
  await writeFile(join(folder, 'worker.log'), line(2, 'b') + line(3, 'c'))
  await writeFile(join(folder, 'other.txt'), line(9, 'x'))
  expect(await messages(reader.last(3, any))).toEqual(['b', 'c', 'd'])
  expect(await messages(reader.last(10, (entry) => entry.message !== 'b'))).toEqual(['a', 'c', 'd'])
})

it('keeps the order of a file over a clock that was set back: what was written last is shown', async () => {
  await writeFile(service, line(100, 'a') + line(40, 'b') + line(41, 'c'))
  await writeFile(join(folder, 'worker.log'), line(90, 'x') + line(99, 'y') + line(101, 'z'))
  expect(await messages(reader.last(10, any))).toEqual(['x', 'y', 'a', 'b', 'c', 'z'])
  expect(await messages(reader.last(2, (entry) => entry.message < 'd'))).toEqual(['b', 'c'])
})

it('looks into the file before when the present one has too few', async () => {
  await writeFile(`${service}.1`, line(1, 'a') + line(2, 'b'))
  await writeFile(service, line(3, 'c'))
  expect(await messages(reader.last(2, any))).toEqual(['b', 'c'])
})

it('gives each new line once, also one that came in two pieces', async () => {
  const [begin, end] = [line(2, 'bé').slice(0, 40), line(2, 'bé').slice(40)]
  await writeFile(service, line(1, 'a') + begin)
  expect(await messages(reader.last(5, any))).toEqual(['a'])
  expect(await messages(reader.next())).toEqual([])
  await appendFile(service, end)
  expect(await messages(reader.next())).toEqual(['bé'])
  expect(await messages(reader.next())).toEqual([])
})

it('follows a file through its rotation, and files that come', async () => {
  await writeFile(service, line(1, 'a'))
  await reader.last(1, any)
  await appendFile(service, line(2, 'last of the old'))
  await rename(service, `${service}.1`)
  await writeFile(service, line(3, 'first of the new'))
  await writeFile(join(folder, 'worker.log'), line(4, 'another'))
  const seen: string[] = []
  for (let turn = 0; turn < 4; turn++) seen.push(...(await messages(reader.next())))
  expect(seen.sort()).toEqual(['another', 'first of the new', 'last of the old'])
})

it('reads on in pieces of bounded size', async () => {
  await reader.last(1, any)
  const many = Array.from({ length: 30_000 }, (_, number) => line(number, `n${number}`)).join('')
  await writeFile(service, many)
  const counts: number[] = []
  for (let turn = 0; turn < 8; turn++) counts.push((await reader.next()).length)
  expect(Math.max(...counts)).toBeLessThan(15_000)
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(30_000)
})
