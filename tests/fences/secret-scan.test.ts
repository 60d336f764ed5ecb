import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { projectRoot } from './planted-tree.ts'

/** Put together here, so that this file is clean itself. */
const planted: Readonly<Record<string, string>> = {
  'private key': ['-----BEGIN', 'RSA PRIVATE KEY-----'].join(' '),
  'AWS access key': ['AKIA', 'ABCDEFGHIJKLMNOP'].join(''),
  'GitHub token': ['ghp', 'a1B2'.repeat(9)].join('_'),
  'password in a URL': ['https://someone', 'hunter22@host.corp/'].join(':'),
}

function scan(folder: string): { readonly code: number | null; readonly output: string } {
  const script = join(projectRoot, 'scripts/lib/secret-scan.ts')
  const done = spawnSync(process.execPath, ['--experimental-strip-types', '--disable-warning=ExperimentalWarning', script, folder], {
    encoding: 'utf8',
  })
  return { code: done.status, output: done.stdout + done.stderr }
}

describe('secret scan', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'cloudmoor-secrets-'))
    execFileSync('git', ['init', '-q'], { cwd: folder })
  })
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true })
  })

  it('passes a folder without secrets', () => {
    writeFileSync(
      join(folder, 'plain.txt'),
      'https://host.corp/ user:password\nhttps://user:password@s3.example.com/ and user:password@b.test\n',
    )
    expect(scan(folder)).toEqual({ code: 0, output: '' })
  })

  it.each(Object.entries(planted))('catches a %s', (what, line) => {
    writeFileSync(join(folder, 'planted.txt'), `first\n${line}\n`)
    expect(scan(folder)).toEqual({ code: 1, output: `planted.txt:2: looks like a ${what}\n` })
  })

  it('never prints the secret', () => {
    writeFileSync(join(folder, 'planted.txt'), Object.values(planted).join('\n'))
    expect(scan(folder).output).not.toContain('hunter22')
  })
})
