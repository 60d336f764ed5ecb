import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { exitCodes } from '../../src-cli/exit-codes.ts'
import type { Prompts } from '../../src-cli/prompts.ts'
import { PromptCancelled } from '../../src-cli/prompts.ts'
import { runCli } from './run-cli.ts'

/** Answers in order; a question too many fails. */
function answering(...answers: readonly string[]): Prompts & { readonly asked: string[] } {
  const left = [...answers]
  const asked: string[] = []
  const answer = (question: string): Promise<string> => {
    asked.push(question)
    const next = left.shift()
    return next === undefined ? Promise.reject(new Error(`nobody answers '${question}'`)) : Promise.resolve(next)
  }
  return { asked, text: answer, secret: answer, choose: answer, confirm: () => Promise.resolve(true) }
}

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cloudmoor-cli-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true })
})

describe('config create', () => {
  const start = ['config', 'create', 'x', '--provider', 's3', '--set', 'bucket=b=c'] as const

  it('reads a secret from stdin, without the newline at its end', async () => {
    const { code, calls } = await runCli([...start, '--set-secret', 'secretAccessKey=-'], { stdin: 'abc def\n' })
    expect(code).toBe(exitCodes.ok)
    expect(calls.created?.secrets).toEqual({ secretAccessKey: 'abc def' })
    expect(calls.created?.provider?.options).toEqual({ bucket: 'b=c' })
    expect(calls.created?.requestId).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('reads several secrets from stdin, a line each', async () => {
    const { calls } = await runCli([...start, '--set-secret', 'secretAccessKey=-', '--set-secret', 'sessionToken=-'], {
      stdin: 'one\ntwo\n',
    })
    expect(calls.created?.secrets).toEqual({ secretAccessKey: 'one', sessionToken: 'two' })
  })

  it('reads a secret from a file', async () => {
    writeFileSync(join(folder, 'key'), 'from file\n')
    const { calls } = await runCli([...start, '--set-secret', `secretAccessKey=@${join(folder, 'key')}`])
    expect(calls.created?.secrets).toEqual({ secretAccessKey: 'from file' })
  })

  it.each([
    ['an empty one', '', "the value of 'secretAccessKey' is empty"],
    ['a missing line', 'one', 'stdin has 1 lines, but 2 secrets'],
  ])('refuses %s', async (_, stdin, message) => {
    const second = stdin === '' ? [] : ['--set-secret', 'sessionToken=-']
    const { code, stderr } = await runCli([...start, '--set-secret', 'secretAccessKey=-', ...second], { stdin })
    expect(code).toBe(exitCodes.usage)
    expect(stderr).toContain(message)
  })

  it('asks for what is missing where somebody can be asked', async () => {
    const prompts = answering('s3', 'my-bucket', 'my-secret')
    const { code, calls } = await runCli(['config', 'create', 'x'], { prompts })
    expect(code).toBe(exitCodes.ok)
    expect(prompts.asked).toEqual(['Which provider?', 'Bucket (name of the bucket)', 'Secret access key'])
    expect(calls.created?.provider).toMatchObject({ name: 'x', type: 's3', options: { bucket: 'my-bucket' } })
    expect(calls.created?.secrets).toEqual({ secretAccessKey: 'my-secret' })
  })

  it('saves nothing when a question is cancelled', async () => {
    const cancel = (): Promise<string> => Promise.reject(new PromptCancelled())
    const prompts = { text: cancel, secret: cancel, choose: cancel, confirm: () => Promise.resolve(false) }
    const { code, calls, stderr } = await runCli(['config', 'create', 'x'], { prompts })
    expect(code).toBe(exitCodes.failed)
    expect(stderr).toContain('cancelled')
    expect(calls.created).toBeUndefined()
  })

  it('never prints a secret', async () => {
    const { stdout, stderr } = await runCli([...start, '--set-secret', 'secretAccessKey=-', '--json'], { stdin: 'canary-4711' })
    expect(stdout + stderr).not.toContain('canary')
  })
})

describe('config set', () => {
  it('sends only what changes', async () => {
    const args = ['config', 'set', 'photos', '--set', 'endpoint=https://new.test', '--unset', 'pathStyle', '--unset', 'sessionToken']
    const { code, calls } = await runCli(args)
    expect(code).toBe(exitCodes.ok)
    expect(calls.updated?.updateMask?.paths).toEqual(['options.endpoint', 'options.pathStyle'])
    expect(calls.updated?.provider).toMatchObject({ id: 'p-1', etag: '1', options: { endpoint: 'https://new.test' } })
    expect(calls.updated?.secrets).toEqual({ sessionToken: '' })
  })

  it('refuses to change nothing', async () => {
    expect((await runCli(['config', 'set', 'photos'])).code).toBe(exitCodes.usage)
  })
})

describe('mount set', () => {
  it('sends only what changes, by the names of the contract', async () => {
    const args = [
      'mount',
      'set',
      'photos',
      '--cache-size',
      '1.5G',
      '--umask',
      '027',
      '--path',
      'here',
      '-o',
      'xattrs=on',
      '--unset',
      'fsync',
    ]
    const { code, calls } = await runCli(args)
    expect(code).toBe(exitCodes.ok)
    expect(calls.mountUpdated?.updateMask?.paths).toEqual(['path', 'cache_size', 'umask', 'options.xattrs', 'options.fsync'])
    expect(calls.mountUpdated?.mount).toMatchObject({
      cacheSize: 1_610_612_736n,
      umask: 0o27,
      path: resolve('here'),
      options: { xattrs: 'on' },
    })
  })
})

describe('without a service', () => {
  it.each([['status'], ['mount list'], ['config list'], ['transfers'], ['logs'], ['service status']])(
    '%s says how to start it',
    async (line) => {
      const { code, stderr } = await runCli(line.split(' '), { service: 'down' })
      expect(code).toBe(exitCodes.noService)
      expect(stderr).toContain('cloudmoor service start')
    },
  )

  it('status --json is still a document', async () => {
    const { code, stdout } = await runCli(['status', '--json'], { service: 'down' })
    expect(code).toBe(exitCodes.noService)
    expect(JSON.parse(stdout)).toMatchObject({ service: null, mounts: [], looked: ['/run/user/7/cloudmoor/service.sock'] })
  })

  it('doctor works', async () => {
    const { stdout } = await runCli(['doctor', '--json'], { service: 'down' })
    const { findings } = JSON.parse(stdout) as { readonly findings: readonly { readonly name: string; readonly result: string }[] }
    expect(findings).toContainEqual(expect.objectContaining({ name: 'node', result: 'ok' }))
    expect(findings).toContainEqual(expect.objectContaining({ name: 'service', result: 'ok' }))
  })
})

it('doctor also tells what the service found', async () => {
  const { stdout } = await runCli(['doctor'])
  expect(stdout).toMatch(/warning {2}vault {11}locked\n +-> unlock it/)
})
