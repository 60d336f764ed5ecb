import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { CloudError } from '../errors.ts'
import { Secret } from '../secret.ts'
import { withCorrelation } from './correlation.ts'
import { openLog } from './log.ts'
import type { LogOptions } from './log.ts'
import { pruneLogs } from './rotating-file.ts'

let folder: string
let options: LogOptions

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'log-'))
  options = { file: join(folder, 'service.log'), program: 'service', level: 'info' }
})
afterEach(() => rm(folder, { recursive: true }))

async function lines(): Promise<Record<string, unknown>[]> {
  const text = await readFile(options.file, 'utf8')
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

it('writes JSON lines with mount and call', async () => {
  const log = await openLog(options)
  withCorrelation('call1', () => log.forMount('m1').write('warn', 'hello', { files: 3, reason: 'late' }))
  await log.close()
  expect(await lines()).toEqual([
    {
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      level: 'warn',
      program: 'service',
      pid: process.pid,
      mountId: 'm1',
      correlationId: 'call1',
      message: 'hello',
      fields: { files: 3, reason: 'late' },
    },
  ])
  expect((await stat(options.file)).mode & 0o777).toBe(0o600)
})

it('changes the level of every log that came from it', async () => {
  const log = await openLog(options)
  const child = log.forMount('m1')
  child.write('debug', 'one')
  log.setLevel('debug')
  child.write('debug', 'two')
  log.setLevel('error')
  child.write('warn', 'three')
  await log.close()
  expect((await lines()).map((line) => line['message'])).toEqual(['two'])
})

it('hides text that is not known to be harmless', async () => {
  const log = await openLog(options)
  log.write('error', 'GET https://user:hunter2@host/x?X-Amz-Signature=hunter2 failed', {
    path: 'https://host/?token=hunter2',
    accessKeyId: 'hunter2',
    reason: 'Authorization: Bearer hunter2',
    options: { password: 'hunter2', list: ['hunter2'] },
    secret: new Secret('hunter2'),
    body: Buffer.from('hunter2'),
    error: new CloudError('io', 'failed', { cause: new Error('from https://a:hunter2@b/') }),
  })
  await log.close()
  const text = await readFile(options.file, 'utf8')
  expect(text).not.toContain('hunter2')
  expect(text).toContain('[hidden]')
  expect(text).toContain('failed')
})

it('begins a new file at its size and keeps so many', async () => {
  const log = await openLog({ ...options, maxBytes: 2000, keep: 2 })
  for (let number = 0; number < 60; number++) {
    log.write('info', `line ${number} ${'x'.repeat(100)}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  await log.close()
  expect((await readdir(folder)).sort()).toEqual(['service.log', 'service.log.1', 'service.log.2'])
  for (const name of await readdir(folder)) expect((await stat(join(folder, name))).size).toBeLessThan(4000)
  const newest = (await readFile(`${options.file}.1`, 'utf8')) + (await readFile(options.file, 'utf8'))
  expect(newest.trimEnd().split('\n').at(-1)).toContain('line 59 ')
})

it('removes what nobody wrote to for long', async () => {
  await writeFile(join(folder, 'old.log.1'), '')
  await writeFile(join(folder, 'new.log'), '')
  await writeFile(join(folder, 'other.txt'), '')
  await utimes(join(folder, 'old.log.1'), 0, 0)
  await utimes(join(folder, 'other.txt'), 0, 0)
  await pruneLogs(folder, 14, Date.now())
  expect((await readdir(folder)).sort()).toEqual(['new.log', 'other.txt'])
})

it('fails to open where it cannot write', async () => {
  await expect(openLog({ ...options, file: join(folder, 'absent', 'x.log') })).rejects.toThrow(/ENOENT/)
})
