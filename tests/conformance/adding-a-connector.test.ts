/** Walks through docs/adding-a-connector.md: the page's own files and edits, in a copy of the project, keep the contract. */
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const project = join(import.meta.dirname, '../..')
const run = promisify(execFile)

interface Block {
  readonly language: string
  readonly path: string
  readonly text: string
}

let copy: string
let blocks: readonly Block[]

beforeAll(async () => {
  copy = await mkdtemp(join(tmpdir(), 'cloudmoor-adding-'))
  const parts = [
    'src-service/common',
    'src-service/drive/connectors',
    'tests/conformance',
    'tests/support',
    'tests/servers',
    'tsconfig.json',
    'package.json',
  ]
  for (const part of parts) await cp(join(project, part), join(copy, part), { recursive: true })
  await symlink(join(project, 'node_modules'), join(copy, 'node_modules'))
  await symlink(join(project, 'build'), join(copy, 'build'))
  blocks = blocksOf(await readFile(join(project, 'docs/adding-a-connector.md'), 'utf8'))
  for (const block of blocks) await applyBlock(block)
})

afterAll(async () => {
  await rm(copy, { recursive: true, force: true })
})

describe('the page about adding a connector', () => {
  test('has files and edits', () => {
    expect(blocks.filter((block) => block.language === 'ts').length).toBe(5)
    expect(blocks.filter((block) => block.language === 'diff').length).toBe(3)
  })

  test('leads to a connector that keeps the contract', async () => {
    await writeFile(join(copy, 'vitest.config.ts'), `export default { test: { include: ['tests/**/*.test.ts'], testTimeout: 60000 } }\n`)
    const vitest = join(project, 'node_modules/vitest/vitest.mjs')
    const output = join(copy, 'report.json')
    const args = [vitest, 'run', '--root', copy, '--reporter=json', '--outputFile', output, 'tests/conformance/shelf.test.ts']
    await run(process.execPath, args, { cwd: copy }).catch(ended)
    const report = JSON.parse(await readFile(output, 'utf8')) as Report
    const failures = report.testResults.flatMap((file) => file.assertionResults.filter((result) => result.status !== 'passed'))
    expect(failures.map((failure) => `${failure.title}: ${failure.failureMessages.join(' ')}`)).toEqual([])
    expect(report.numPassedTests).toBeGreaterThan(40)
  })

  test('has types that fit', async () => {
    const config = {
      extends: './tsconfig.json',
      compilerOptions: { incremental: false },
      include: ['src-service/drive/connectors/shelf', 'src-service/drive/connectors/registry.ts', 'tests/conformance/shelf.test.ts'],
    }
    await writeFile(join(copy, 'tsconfig.shelf.json'), JSON.stringify(config))
    const tsc = join(project, 'node_modules/typescript/bin/tsc')
    const { stdout } = await run(process.execPath, [tsc, '-p', 'tsconfig.shelf.json'], { cwd: copy }).catch(ended)
    expect(stdout).toBe('')
  })
})

interface Report {
  readonly numPassedTests: number
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly status: string; readonly title: string; readonly failureMessages: readonly string[] }[]
  }[]
}

/** A program that ends with failures has said them. */
function ended(error: unknown): { readonly stdout: string } {
  if (error instanceof Error && 'stdout' in error && typeof error.stdout === 'string') return { stdout: error.stdout }
  throw error
}

/** Fenced blocks whose first line names a path. */
function blocksOf(page: string): Block[] {
  const found = page.matchAll(/^```(ts|diff) (\S+)\n(.*?)^```$/gms)
  return Array.from(found, ([, language = '', path = '', text = '']) => ({ language, path, text }))
}

async function applyBlock({ language, path, text }: Block): Promise<void> {
  const target = join(copy, path)
  if (language === 'ts') {
    await mkdir(dirname(target), { recursive: true })
    await writeFile(target, text)
    return
  }
  const lines = text.split('\n').filter((line) => line !== '')
  const before = lines.filter((line) => !line.startsWith('+')).map((line) => line.slice(1))
  const after = lines.filter((line) => !line.startsWith('-')).map((line) => line.slice(1))
  const source = await readFile(target, 'utf8')
  if (!source.includes(before.join('\n')))
    throw new Error(`docs/adding-a-connector.md: the edit of ${path} does not fit: ${before.join(' | ')}`)
  await writeFile(
    target,
    source.replace(before.join('\n'), () => after.join('\n')),
  )
}
