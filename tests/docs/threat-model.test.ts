import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { projectRoot } from './project-root.ts'

/** Each line of what is defended names its tests, and these exist. */

interface Line {
  readonly against: string
  readonly shownBy: string
}

function defended(page: string, heading: string): Line[] {
  const text = readFileSync(join(projectRoot, page), 'utf8')
  const section = text.slice(text.indexOf(heading)).split('\n## ')[0] ?? ''
  const rows = section.split('\n').filter((line) => line.startsWith('|') && !line.includes('| **no**'))
  return rows.slice(2).map((row) => {
    const cells = row.split(' | ')
    return { against: cells[0]?.replace(/^\| /, '') ?? '', shownBy: cells.at(-1)?.replace(/ \|$/, '') ?? '' }
  })
}

const tests = globSync('{src-*,tests,proto,scripts,bench}/**/*.test.ts', { cwd: projectRoot })
const columns = readFileSync(join(projectRoot, 'docs/security/routes.md'), 'utf8')

/** What is wrong with what a line names; a name without its folder has to be of one file alone. */
function faults({ shownBy }: Line): string[] {
  const named = [...shownBy.matchAll(/`([^`]+\.test\.ts)`/g)].map(([, name = '']) => name)
  const column = [...shownBy.matchAll(/\*([^*]+)\*/g)].map(([, name = '']) => name)
  if (named.length + column.length === 0) return ['names no test']
  return [
    ...named.flatMap((name) => {
      const found = name.includes('/')
        ? existsSync(join(projectRoot, name))
          ? [name]
          : []
        : tests.filter((path) => path.endsWith(`/${name}`))
      return found.length === 1 ? [] : [`${name} is ${found.length} files`]
    }),
    ...column.filter((name) => !columns.includes(`| ${name} |`)).map((name) => `routes.md has no column ${name}`),
  ]
}

describe.each([
  ['docs/security/model.md', '## What is defended', 20],
  ['docs/security/vault.md', '## What it protects', 5],
] as const)('%s', (page, heading, least) => {
  const lines = defended(page, heading)

  it('has its lines', () => expect(lines.length).toBeGreaterThanOrEqual(least))
  it.each(lines)('$against', (line) => expect(faults(line)).toEqual([]))
})

it('a name that is none, or of two files, or no name at all is seen', () => {
  const twice = tests.map((path) => path.split('/').at(-1) ?? '').find((name, index, all) => all.indexOf(name) !== index)
  for (const shownBy of ['`absent.test.ts`', 'nothing', 'column *nobody* of routes.md', `\`${twice ?? 'absent.test.ts'}\``])
    expect(faults({ against: '', shownBy })).toHaveLength(1)
})
