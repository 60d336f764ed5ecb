import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'

test('every promise of docs/semantics.md has a test with its name', async () => {
  const document = await readFile(join(import.meta.dirname, '../../docs/semantics.md'), 'utf8')
  const promises = [...document.matchAll(/^### (.+)$/gm)].map(([, heading]) => heading)
  const files = (await readdir(import.meta.dirname)).filter((name) => name.endsWith('.test.ts') && name !== 'headings.test.ts')
  const sources = (await Promise.all(files.map((name) => readFile(join(import.meta.dirname, name), 'utf8')))).join('\n')
  expect(promises.length).toBeGreaterThan(15)
  expect(promises.filter((heading) => !sources.includes(`test('${heading ?? ''}'`))).toEqual([])
})
