import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { exitCodes } from '../../src-cli/exit-codes.ts'
import type { Prompts } from '../../src-cli/prompts.ts'
import { VaultSlotKind } from '../../proto/gen/cloudmoor/v1/vault_pb.js'
import { runCli } from './run-cli.ts'

/** Answers in order. */
function answering(secrets: readonly string[], confirmed = true): Prompts {
  const left = [...secrets]
  const answer = () => Promise.resolve(left.shift() ?? '')
  return { text: answer, secret: answer, choose: answer, confirm: () => Promise.resolve(confirmed) }
}

const add = ['config', 'vault', 'slots', 'add', 'passphrase'] as const

it('takes a passphrase from stdin, a file or the terminal, and never from the command line', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cloudmoor-cli-'))
  writeFileSync(join(folder, 'p'), 'from a file\n')
  const fromStdin = await runCli([...add, '--passphrase', '-'], { stdin: 'from stdin\n' })
  expect(fromStdin.calls.slotAdded).toMatchObject({ kind: VaultSlotKind.PASSPHRASE, passphrase: 'from stdin' })
  const fromFile = await runCli([...add, '--passphrase', `@${join(folder, 'p')}`, '--replace', 'slot-2'])
  expect(fromFile.calls.slotAdded).toMatchObject({ passphrase: 'from a file', replaceSlotId: 'slot-2' })
  const typed = await runCli([...add], { prompts: answering(['typed', 'typed']) })
  expect(typed.calls.slotAdded).toMatchObject({ passphrase: 'typed' })
  rmSync(folder, { recursive: true })
  const visible = await runCli([...add, '--passphrase', 'hunter2hunter2'])
  expect(visible.code).toBe(exitCodes.usage)
  expect(visible.stderr).not.toContain('hunter2')
  const differing = await runCli([...add], { prompts: answering(['typed', 'tpyed']) })
  expect([differing.code, differing.calls.slotAdded]).toEqual([exitCodes.usage, undefined])
  expect((await runCli([...add, '--passphrase', '-'], { stdin: '\n' })).code).toBe(exitCodes.usage)
  expect((await runCli(['config', 'vault', 'slots', 'add', 'keychain', '--passphrase', '-'], { stdin: 'x' })).code).toBe(exitCodes.usage)
})

it('unlocks with what the machine has, and asks where that is not enough', async () => {
  const unlock = ['config', 'vault', 'unlock'] as const
  const nobody = await runCli([...unlock])
  expect([nobody.code, nobody.calls.unlocked?.by.case]).toEqual([exitCodes.failed, undefined])
  const asked = await runCli([...unlock], { prompts: answering(['typed']) })
  expect([asked.code, asked.calls.unlocked?.by]).toEqual([exitCodes.ok, { case: 'passphrase', value: 'typed' }])
  const recovered = await runCli([...unlock, '--recovery-key', '-'], { stdin: 'aaaa-bbbb\n' })
  expect(recovered.calls.unlocked?.by).toEqual({ case: 'recoveryKey', value: 'aaaa-bbbb' })
  expect((await runCli([...unlock, '--recovery-key', '-', '--passphrase', '-'], { stdin: 'x' })).code).toBe(exitCodes.usage)
})

it('offers a recovery key when an account makes the vault', async () => {
  const create = ['config', 'create', 'x', '--provider', 's3', '--set', 'bucket=b', '--set-secret', 'secretAccessKey=-'] as const
  const world = { stdin: 'abc', withoutVault: true }
  expect((await runCli([...create], { ...world, prompts: answering([]) })).stderr).toContain('aaaa-bbbb')
  expect((await runCli([...create], { ...world, prompts: answering([], false) })).stderr).toContain('recovery-key')
  for (const other of [world, { ...world, withoutVault: false, prompts: answering([]) }]) {
    const { code, stderr } = await runCli([...create], other)
    expect([code, stderr]).toEqual([exitCodes.ok, ''])
  }
})

it('stores and deletes a secret by name', async () => {
  const stored = await runCli(['config', 'vault', 'put', 'webhook', '--value', '-'], { stdin: 'abc\n' })
  expect([stored.code, stored.calls.secretPut?.value]).toEqual([exitCodes.ok, 'abc'])
  expect(stored.stdout).not.toContain('abc')
  expect((await runCli(['config', 'vault', 'delete', 'webhook'])).code).toBe(exitCodes.ok)
})
