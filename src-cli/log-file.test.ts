import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readLogFile } from './log-file.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cloudmoor-log-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true })
})

it('reads entries and leaves out what is none', async () => {
  const file = join(folder, 'service.log')
  const entry = '{"time":"T","level":"warn","program":"service","pid":7,"message":"m","fields":{"a":1}}'
  writeFileSync(file, `cut off"}\n${entry}\nnull\n{"torn`)
  expect(await readLogFile(file)).toEqual([
    { time: 'T', level: 'warn', program: 'service', pid: 7, mountId: '', correlationId: '', message: 'm', fields: { a: 1 } },
  ])
})

it('gives nothing where there is no file', async () => {
  expect(await readLogFile(join(folder, 'none'))).toEqual([])
})
