import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { plantedTree } from './planted-tree.ts'
import type { PlantedTree } from './planted-tree.ts'

interface FileReport {
  readonly filePath: string
  readonly messages: readonly { readonly ruleId: string | null; readonly message: string }[]
}

const types = `export type Kind = { readonly kind: 'a' } | { readonly kind: 'b' }\nexport const one = 1\n`

/** What each rule must catch: [rule, file, text]. */
const plants: readonly [rule: string, file: string, text: string][] = [
  ['@typescript-eslint/no-explicit-any', 'any.ts', 'export function f(x: any): void {\n  void x\n}\n'],
  ['@typescript-eslint/no-non-null-assertion', 'non-null.ts', 'export function f(x: string | null): string {\n  return x!\n}\n'],
  ['@typescript-eslint/no-floating-promises', 'floating.ts', 'export function f(): void {\n  Promise.resolve(1)\n}\n'],
  [
    '@typescript-eslint/no-misused-promises',
    'misused.ts',
    'export function f(g: () => Promise<boolean>): number {\n  return g() ? 1 : 2\n}\n',
  ],
  ['@typescript-eslint/only-throw-error', 'throw.ts', `export function f(): void {\n  throw 'text'\n}\n`],
  [
    '@typescript-eslint/switch-exhaustiveness-check',
    'switch.ts',
    `import type { Kind } from './types.ts'\nexport function f(k: Kind): number {\n  switch (k.kind) {\n    case 'a':\n      return 1\n  }\n  return 0\n}\n`,
  ],
  [
    '@typescript-eslint/consistent-type-imports',
    'type-import.ts',
    `import { Kind } from './types.ts'\nexport function f(k: Kind): Kind {\n  return k\n}\n`,
  ],
  ['@typescript-eslint/ban-ts-comment', 'ts-ignore.ts', `// @ts-ignore\nexport const x: number = 'text'\n`],
  ['@typescript-eslint/explicit-module-boundary-types', 'boundary.ts', 'export function f() {\n  return 1\n}\n'],
  ['eqeqeq', 'eqeqeq.ts', 'export const f = (a: number, b: number): boolean => a == b\n'],
  ['max-lines', 'long.ts', `export const x = [\n${'  1,\n'.repeat(400)}]\n`],
  ['no-restricted-syntax', 'default-export.ts', 'export default function f(): void {}\n'],
  ['no-restricted-syntax', 'barrel.ts', `export { one } from './types.ts'\n`],
  ['no-restricted-syntax', 'barrel-all.ts', `export * from './types.ts'\n`],
  ['no-restricted-imports', 'sync-read.ts', `import { readFileSync } from 'node:fs'\nexport const f = (): Buffer => readFileSync('x')\n`],
  ['cloudmoor/kebab-file-name', 'CamelCase.ts', 'export const x = 1\n'],
  [
    'cloudmoor/reasoned-disable',
    'bare-disable.ts',
    'export function f(x: string | null): string {\n  // eslint-disable-next-line @typescript-eslint/no-non-null-assertion\n  return x!\n}\n',
  ],
]

/** What the compiler must refuse: Node runs the sources as they are. */
const compilerPlants: readonly [code: string, file: string, text: string][] = [
  ['TS1294', 'enum.ts', 'export enum Colour {\n  red,\n}\n'],
  ['TS1294', 'parameter-property.ts', 'export class A {\n  constructor(readonly a: number) {}\n}\n'],
  ['TS1294', 'namespace.ts', 'export namespace N {\n  export const x = 1\n}\n'],
  ['TS2322', 'undefined-index.ts', 'export const f = (a: number[]): number => a[0]\n'],
  ['TS2375', 'exact-optional.ts', 'export const a: { x?: number } = { x: undefined }\n'],
]

const folder = 'src-service/drive/planted'

describe('style rules', () => {
  let tree: PlantedTree
  let lint: readonly FileReport[]
  let compiler: string

  beforeAll(() => {
    tree = plantedTree([])
    tree.plant(`${folder}/types.ts`, types)
    for (const [, file, text] of [...plants, ...compilerPlants]) tree.plant(`${folder}/${file}`, text)
    const { output } = tree.run('eslint', [folder, '--format', 'json'])
    lint = JSON.parse(output.slice(output.indexOf('['), output.lastIndexOf(']') + 1)) as FileReport[]
    compiler = tree.run('tsc', ['-p', '.', '--incremental', 'false']).output
  })
  afterAll(() => {
    tree.remove()
  })

  const rulesFor = (file: string): readonly (string | null)[] =>
    lint
      .filter((report) => report.filePath.replaceAll('\\', '/').endsWith(`/${file}`))
      .flatMap((report) => report.messages.map((m) => m.ruleId))

  it.each(plants)('%s catches %s', (rule, file) => {
    expect(rulesFor(file)).toContain(rule)
  })

  it('finds nothing in a file that is as it should be', () => {
    expect(rulesFor('types.ts')).toEqual([])
    expect(lint.some((report) => report.filePath.endsWith('types.ts'))).toBe(true)
  })

  it.each(compilerPlants)('%s refuses %s', (code, file) => {
    expect(compiler).toMatch(new RegExp(`planted/${file}\\(\\d+,\\d+\\): error ${code}`))
  })

  it('the formatter refuses another style, and accepts ours', () => {
    tree.plant('src-cli/ugly.ts', `export const x = "double";\n`)
    tree.plant('src-cli/pretty.ts', `export const x = 'single'\n`)
    expect(tree.run('biome', ['format', '--vcs-enabled=false', 'src-cli/ugly.ts']).code).toBe(1)
    expect(tree.run('biome', ['format', '--vcs-enabled=false', 'src-cli/pretty.ts']).code).toBe(0)
  })
})
