import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, it, vi } from 'vitest'
import { Installation } from '../support/installation.ts'

/** A folder of files as the truth: what belongs to them stays theirs when they become wrong, also over a start. */

const program = join(import.meta.dirname, '../../bin/cloudmoor-service')

let here: Installation
let service: ChildProcess
let folder: string

afterEach(async () => {
  await here.attempt(['service', 'stop', '--timeout', '0'])
  await here.killAll()
  await here[Symbol.asyncDispose]()
})

async function begin(texts: Readonly<Record<string, string>>): Promise<void> {
  here = await Installation.create()
  folder = join(here.folder, 'conf')
  await mkdir(folder)
  await give(texts)
  await start()
}

async function give(texts: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(texts)) await writeFile(join(folder, name), text)
}

async function start(flags: readonly string[] = ['--config', folder]): Promise<void> {
  service = spawn(program, flags, { env: here.env, stdio: 'ignore' })
  await until(async () => expect((await here.attempt(['service', 'status'])).code).toBe(0))
}

async function restart(flags?: readonly string[]): Promise<void> {
  const ended = once(service, 'exit')
  await here.cloudmoor(['service', 'stop', '--timeout', '0'])
  await ended
  await start(flags)
}

const until = (assertion: () => Promise<void>) => vi.waitFor(assertion, { timeout: 20_000, interval: 200 })
const exported = () => here.cloudmoor(['config', 'export'])

interface AlertJson {
  readonly reason: string
  readonly message: string
}
const alerts = async () => JSON.parse(await here.cloudmoor(['alerts', 'list', '--json'])) as readonly AlertJson[]
const wrongFile = async () => (await alerts()).filter(({ reason }) => reason === 'configuration-invalid')

async function refused(file: string, ...args: readonly string[]): Promise<void> {
  const outcome = await here.attempt(args)
  const named = expect.stringContaining(`is kept in the configuration file ${join(folder, file)}`) as string
  expect([args, outcome.code, outcome.stderr]).toEqual([args, 5, named])
}

/** Everything that came from the files, one way after the other. */
async function belongsToFiles(): Promise<void> {
  await refused('a.yaml', 'settings', 'set', 'auditDays', '3')
  await refused('a.yaml', 'settings', 'reset', 'auditDays')
  await refused('a.yaml', 'config', 'set', 'cloud', '--name', 'other')
  await refused('a.yaml', 'config', 'remove', 'cloud')
  await refused('b.yml', 'mount', 'set', 'drive', '--path', join(here.folder, 'other'))
  await refused('b.yml', 'mount', 'remove', 'drive')
  const text = join(here.folder, 'edited.yaml')
  await writeFile(text, (await exported()).replace("auditDays: '7'", "auditDays: '8'"))
  await refused('a.yaml', 'config', 'import', text)
  for (const [show, file] of [
    ['mount show drive', 'b.yml'],
    ['config show cloud', 'a.yaml'],
  ] as const)
    expect(await here.cloudmoor(show.split(' '))).toMatch(new RegExp(`Kept in: +${join(folder, file)}`))
}

const accounts = (name: string) => `version: 1
settings: { auditDays: '7' }
providers:
  - name: ${name}
    id: abcdefghjkmnpqrs
    type: s3
    options: { endpoint: 'http://127.0.0.1:9', accessKeyId: AK }
    secrets: { secretAccessKey: '\${CLOUDMOOR_TEST_KEY}' }
`
const mounts = (name: string, account: string) =>
  `version: 1\nmounts:\n  - { name: ${name}, id: bbcdefghjkmnpqrs, provider: ${account}, path: ${here.folder}/mnt, enabled: false }\n`

it('a file that becomes wrong changes nothing, also over a start; an alert says where, until it is right again', {
  timeout: 120_000,
}, async () => {
  await begin({ 'a.yaml': accounts('cloud') })
  await give({ 'b.yml': mounts('drive', 'cloud') })
  service.kill('SIGHUP')
  await until(async () => expect(await exported()).toContain('name: drive'))
  const before = await exported()
  // A reference is stored and exported as one.
  expect(before).toContain('secretAccessKey: ${CLOUDMOOR_TEST_KEY}')
  await belongsToFiles()
  expect(await alerts()).toEqual([])

  await give({ 'b.yml': 'version: 1\nmounts: [' })
  service.kill('SIGHUP')
  await until(async () => expect(await wrongFile()).toHaveLength(1))
  expect((await wrongFile())[0]?.message).toMatch(/b\.yml: line 2/)
  expect(await exported()).toBe(before)

  await restart()
  await until(async () => expect(await wrongFile()).toHaveLength(1))
  expect(await exported()).toBe(before)
  await belongsToFiles()
  expect(await exported()).toBe(before)

  // Neither is a folder that is gone, or a file that anybody may write to.
  await rm(join(folder, 'b.yml'))
  await give({ 'b.yml': mounts('drive', 'cloud') })
  await chmod(join(folder, 'b.yml'), 0o666)
  service.kill('SIGHUP')
  await until(async () => expect((await wrongFile()).map(({ message }) => message).join()).toContain('b.yml can be written by every user'))
  expect(await here.cloudmoor(['logs', '--level', 'error', '-n', '5'])).toContain('b.yml can be written by every user')
  expect(await exported()).toBe(before)

  await chmod(join(folder, 'b.yml'), 0o644)
  service.kill('SIGHUP')
  await until(async () => expect(await alerts()).toEqual([]))
  expect(await exported()).toBe(before)
})

it('a new name of an entry with its id is the same account and mount', { timeout: 60_000 }, async () => {
  await begin({ 'a.yaml': accounts('cloud') })
  await give({ 'b.yml': mounts('drive', 'cloud') })
  service.kill('SIGHUP')
  await until(async () => expect(await exported()).toContain('name: drive'))
  await give({ 'a.yaml': accounts('sky'), 'b.yml': mounts('files', 'sky') })
  service.kill('SIGHUP')
  await until(async () => expect(await exported()).toContain('name: files'))
  const changes = (await here.cloudmoor(['logs', '--json', '-n', '1000'])).split('\n').filter((line) => line.includes('configuration: '))
  expect(changes.filter((line) => line.includes('remove'))).toEqual([])
  expect(changes.filter((line) => line.includes('update mount'))).toHaveLength(1)
  const listed = JSON.parse(await here.cloudmoor(['mount', 'list', '--json'])) as readonly { readonly id: string; readonly name: string }[]
  expect(listed).toMatchObject([{ id: 'bbcdefghjkmnpqrs', name: 'files' }])
})

/** It can be edited, and is otherwise as it was. */
async function isFree(before: string): Promise<void> {
  await until(async () => expect((await here.attempt(['mount', 'set', 'drive', '--path', join(here.folder, 'other')])).code).toBe(0))
  await here.cloudmoor(['mount', 'set', 'drive', '--path', join(here.folder, 'mnt')])
  expect(await exported()).toBe(before)
  await here.cloudmoor(['config', 'set', 'cloud', '--name', 'other'])
  await here.cloudmoor(['config', 'set', 'other', '--name', 'cloud'])
  await here.cloudmoor(['settings', 'set', 'auditDays', '3'])
  const [logs, audit] = [await here.cloudmoor(['logs', '--json', '-n', '1000']), await here.cloudmoor(['audit', 'list', '--json'])]
  for (const what of ["release provider 'cloud'", "release mount 'drive'", "release setting 'auditDays'"]) {
    expect(logs).toContain(what)
    expect(audit).toContain(what)
  }
}

it('what the files no longer name goes, a setting is free again, and an empty folder is a fault', { timeout: 60_000 }, async () => {
  await begin({ 'a.yaml': accounts('cloud') })
  await give({ 'b.yml': mounts('drive', 'cloud') })
  service.kill('SIGHUP')
  await until(async () => expect(await exported()).toContain('name: drive'))
  // A folder that something failed to fill is a fault, and no wish.
  await Promise.all(['a.yaml', 'b.yml'].map((name) => rm(join(folder, name))))
  service.kill('SIGHUP')
  await until(async () => expect((await wrongFile())[0]?.message).toContain('holds no *.yaml'))
  await belongsToFiles()
  await give({ 'a.yaml': 'version: 1\n' })
  service.kill('SIGHUP')
  await until(async () => expect(await exported()).not.toContain('name: cloud'))
  expect(await exported()).not.toContain('name: drive')
  await here.cloudmoor(['settings', 'set', 'auditDays', '3'])
})

it('a service that is started without files leaves nothing to those it had', { timeout: 60_000 }, async () => {
  await begin({ 'a.yaml': accounts('cloud') })
  await give({ 'b.yml': mounts('drive', 'cloud') })
  service.kill('SIGHUP')
  await until(async () => expect(await exported()).toContain('name: drive'))
  const before = await exported()
  await belongsToFiles()
  await restart([])
  await isFree(before)
  // With files again it is theirs again.
  await restart()
  await until(async () => expect(await exported()).toBe(before))
  await belongsToFiles()
})
