import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { projectRoot } from './project-root.ts'

const cloudmoor = join(projectRoot, 'bin/cloudmoor')
const demo = join(projectRoot, 'scripts/demo')
const mounts = (): string => readFileSync('/proc/self/mountinfo', 'utf8')

it('scripts/demo --check ends with ok and leaves nothing', { timeout: 150_000 }, ({ skip }) => {
  if (process.platform !== 'linux') skip('mounts need Linux')
  const doctor = spawnSync(cloudmoor, ['doctor'], { encoding: 'utf8' })
  if (doctor.status !== 0) skip(`this machine cannot mount: ${/MISSING.*/.exec(doctor.stdout)?.[0] ?? doctor.stderr}`)
  const { status, stdout, stderr } = spawnSync(demo, ['--check'], { encoding: 'utf8', timeout: 140_000, stdio: ['ignore', 'pipe', 'pipe'] })
  expect(stdout.trimEnd().split('\n').at(-1), stdout + stderr).toBe('ok')
  expect(status).toBe(0)
  expect(mounts()).not.toContain('/cloudmoor-demo-')
})

it('scripts/demo says which step is missing where nobody may mount', ({ skip }) => {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) skip('taking rights away needs root on Linux')
  const without = ['--bounding-set', '-sys_admin', '--inh-caps', '-sys_admin', demo, '--check']
  const { status, stdout, stderr, error } = spawnSync('setpriv', without, { encoding: 'utf8', timeout: 50_000 })
  if (error !== undefined) skip('setpriv is not installed')
  expect(status).toBe(1)
  expect(stdout).toMatch(/MISSING {2}mount-right .*\n.*-> start it with --cap-add SYS_ADMIN/)
  expect(stderr).toContain('demo: this machine cannot mount yet')
})
