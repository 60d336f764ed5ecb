import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { clearLeftovers, runMark } from './leftovers.ts'

it.runIf(process.platform === 'linux')('finds and ends a process that carries the mark, and leaves others alone', async () => {
  const start = (mark: string): ReturnType<typeof spawn> =>
    spawn('sleep', ['30'], { env: { ...process.env, [runMark]: mark }, stdio: 'ignore' })
  const left = start('planted-mark')
  const other = start('other-mark')
  const ended = new Promise((resolve) => left.once('exit', resolve))
  try {
    expect(await clearLeftovers('planted-mark', '/nowhere')).toEqual([expect.stringContaining(`process ${left.pid ?? 0}: sleep 30`)])
    await ended
    expect(other.exitCode).toBeNull()
    expect(await clearLeftovers('planted-mark', '/nowhere')).toEqual([])
  } finally {
    left.kill('SIGKILL')
    other.kill('SIGKILL')
  }
})

it.runIf(process.platform === 'linux')('finds a process that was given a clean environment by the folder it works on', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cloudmoor-left-'))
  const left = spawn('tail', ['-F', join(folder, 'file')], { env: {}, stdio: 'ignore' })
  try {
    await new Promise((resolve) => left.once('spawn', resolve))
    expect(await clearLeftovers('no-such-mark', folder)).toEqual([expect.stringContaining(`process ${left.pid ?? 0}: tail -F`)])
  } finally {
    left.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
})

it('finds and removes a mount below the folder', async ({ skip }) => {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) skip('mounting a tmpfs needs root on Linux')
  const folder = mkdtempSync(join(tmpdir(), 'cloudmoor left '))
  const point = join(folder, 'mount')
  mkdirSync(point)
  try {
    try {
      execFileSync('mount', ['-t', 'tmpfs', 'none', point], { stdio: 'ignore' })
    } catch {
      skip('this root may not mount')
    }
    expect(await clearLeftovers('no-such-mark', folder)).toEqual([`mount ${point}`])
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain('left\\040')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
