import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { shellBlocks } from './documented-commands.ts'
import { projectRoot } from './project-root.ts'

const runnable = shellBlocks().filter((block) => block.runnable)
const documents = [...new Set(runnable.map((block) => block.place.split(':')[0] ?? ''))]

let folder: string | undefined

function bash(script: string, timeout = 60_000): { readonly code: number; readonly output: string } {
  if (folder === undefined) throw new Error('no folder')
  const done = spawnSync('bash', ['-euxo', 'pipefail', '-c', script], {
    cwd: folder,
    encoding: 'utf8',
    timeout,
    env: { ...process.env, CLOUDMOOR_HOME: join(folder, 'home') },
  })
  return { code: done.status ?? -1, output: done.stdout + done.stderr }
}

afterEach(() => {
  if (folder === undefined) return
  bash('bin/cloudmoor service stop --timeout 0 || true')
  // Whatever still holds the mount is let go, so that removing the folder cannot wait for it.
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [, , device = '', , point = ''] = line.split(' ')
    if (!point.startsWith(`${folder}/`)) continue
    writeFileSync(`/sys/fs/fuse/connections/${device.split(':')[1] ?? ''}/abort`, '1')
    spawnSync('umount', ['-l', point])
  }
  rmSync(folder, { recursive: true, force: true })
  folder = undefined
})

it.for(documents)('the runnable blocks of %s run', (document, { skip }) => {
  if (process.platform !== 'linux') skip('mounts need Linux')
  if (!existsSync(join(projectRoot, 'dist/service.js'))) skip('the bundles are not built: scripts/build')
  folder = mkdtempSync(join(tmpdir(), 'cloudmoor-docs-'))
  symlinkSync(join(projectRoot, 'bin'), join(folder, 'bin'))
  const doctor = bash('bin/cloudmoor doctor')
  if (doctor.code !== 0) skip(`this machine cannot mount: ${doctor.output.match(/MISSING.*/)?.[0] ?? doctor.output}`)
  for (const block of runnable.filter(({ place }) => place.startsWith(`${document}:`))) {
    const { code, output } = bash(block.text)
    expect(code, `${block.place}\n${output}`).toBe(0)
  }
})
