import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fromIni } from '@aws-sdk/credential-providers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadAmbient } from './aws-credentials.ts'

let folder: string
let variables: Readonly<Record<string, string>>
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aws-'))
  variables = { AWS_CONFIG_FILE: join(folder, 'config'), AWS_SHARED_CREDENTIALS_FILE: join(folder, 'credentials') }
})
afterEach(() => rm(folder, { recursive: true }))

const keys = 'aws_access_key_id = AK\naws_secret_access_key = SK\n'
const ran = () => join(folder, 'ran')
const program = () => `credential_process = touch ${ran()}\n`
const load = (source: 'profile' | 'chain', profile: string | undefined, more: Readonly<Record<string, string>> = {}) =>
  loadAmbient(source, { profile, sts: { region: 'us-east-1' }, variable: (name) => ({ ...variables, ...more })[name] })

it('the SDK would run it', async () => {
  await writeFile(variables['AWS_CONFIG_FILE'] ?? '', `[profile drive]\n${program()}`)
  await load('profile', 'nobody').catch(() => {})
  await fromIni({ profile: 'drive' })().catch(() => {})
  expect(existsSync(ran())).toBe(true)
})

describe('a profile that names a program is refused, and the program not run', () => {
  it.each([
    ['in the configuration file', 'AWS_CONFIG_FILE', () => `[profile drive]\n${program()}`, 'drive', {}],
    ['quoted, indented, with a comment', 'AWS_CONFIG_FILE', () => `[profile "drive"] # mine\n  ${program()}`, 'drive', {}],
    ['in the credentials file', 'AWS_SHARED_CREDENTIALS_FILE', () => `[drive]\n${program()}`, 'drive', {}],
    ['beside keys', 'AWS_SHARED_CREDENTIALS_FILE', () => `[drive]\n${keys}${program()}`, 'drive', {}],
    ['the default one', 'AWS_CONFIG_FILE', () => `[default]\n${program()}`, undefined, {}],
    ['the one of AWS_PROFILE', 'AWS_CONFIG_FILE', () => `[profile env]\n${program()}`, undefined, { AWS_PROFILE: 'env' }],
    [
      'whose keys another one uses',
      'AWS_CONFIG_FILE',
      () =>
        `[profile drive]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = base\n[profile base]\nsource_profile = drive\n${program()}`,
      'drive',
      {},
    ],
  ] as const)('%s', async (_, file, text, profile, more) => {
    await writeFile(variables[file] ?? '', text())
    for (const source of ['profile', 'chain'] as const)
      await expect(load(source, profile, more)).rejects.toMatchObject({ kind: 'sign-in', code: 'RUNS_A_PROGRAM' })
    expect(existsSync(ran())).toBe(false)
  })
})

it('another profile of the same file works', async () => {
  await writeFile(variables['AWS_SHARED_CREDENTIALS_FILE'] ?? '', `[other]\n${program()}\n[drive]\n${keys}`)
  expect(await load('profile', 'drive')).toMatchObject({ accessKeyId: 'AK', secretAccessKey: 'SK' })
  expect(existsSync(ran())).toBe(false)
})
