import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeUsers, findMountUsers } from './mount-users.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cm-users-'))
})
afterAll(() => rm(folder, { recursive: true }))

test('names who works in a folder and who has a file in it open', async () => {
  expect(await findMountUsers(folder)).toEqual([])
  const file = await open(join(folder, 'note.txt'), 'w')
  const sleeper = spawn('sleep', ['20'], { cwd: folder })
  try {
    await once(sleeper, 'spawn')
    const users = await findMountUsers(folder)
    expect(users).toContainEqual({ pid: sleeper.pid, name: 'sleep', how: 'works in it' })
    expect(users).toContainEqual({ pid: process.pid, name: expect.any(String), how: `has ${join(folder, 'note.txt')} open` })
  } finally {
    sleeper.kill('SIGKILL')
    await file.close()
  }
})

test('says it in one line', () => {
  const user = { pid: 7, name: 'vim', how: 'has /m/a open' }
  expect(describeUsers([user])).toBe('vim (7) has /m/a open')
  expect(describeUsers(Array.from({ length: 7 }, () => user))).toMatch(/ and 2 more$/)
  expect(describeUsers([])).toContain('may not see')
})
