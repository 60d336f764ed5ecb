import { createRequire } from 'node:module'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { plantedTree, projectRoot } from './planted-tree.ts'
import type { PlantedTree } from './planted-tree.ts'

interface Config {
  readonly forbidden: readonly { readonly name: string }[]
}

interface Report {
  readonly summary: {
    readonly totalCruised: number
    readonly violations: readonly { readonly from: string; readonly to: string; readonly rule: { readonly name: string } }[]
  }
}

/** One violation of each rule: [file that breaks it, what it imports], types included. */
const plants: Readonly<Record<string, readonly [file: string, text: string][]>> = {
  'programs-share-nothing': [['src-cli/planted/program.ts', `import type {} from '../../src-service/common/errors.ts'`]],
  'proto-is-a-leaf': [['proto/client/planted-leaf.ts', `import '../../src-service/common/errors.ts'`]],
  'control-not-drive': [['src-service/control/mounts/planted-drive.ts', `import type {} from '../../drive/vfs/filesystem.ts'`]],
  'control-connector-types-only': [['src-service/control/providers/planted-value.ts', `import '../../drive/connectors/connector.ts'`]],
  'drive-not-control': [
    ['src-service/drive/vfs/planted-control.ts', `import '../../control/store/planted-store.ts'`],
    ['src-service/control/store/planted-store.ts', 'export const planted = 1'],
  ],
  'common-is-a-leaf': [['src-service/common/planted-up.ts', `import type {} from '../drive/vfs/filesystem.ts'`]],
  'drive-parts-not-their-root': [
    ['src-service/drive/cache/planted-root.ts', `import '../planted-drive-root.ts'`],
    ['src-service/drive/planted-drive-root.ts', 'export const planted = 1'],
  ],
  'provider-folder-by-registry-only': [
    ['src-service/drive/cache/planted-provider.ts', `import '../connectors/planted-cloud/planted-connector.ts'`],
    ['src-service/drive/connectors/planted-cloud/planted-connector.ts', 'export const planted = 1'],
  ],
  'providers-do-not-see-each-other': [
    ['src-service/drive/connectors/planted-cloud/planted-sibling.ts', `import '../planted-other/planted-connector.ts'`],
    ['src-service/drive/connectors/planted-other/planted-connector.ts', 'export const planted = 1'],
  ],
  'manifest-is-data': [
    ['src-service/drive/connectors/manifest.ts', `import './planted-cloud/planted-code.ts'`],
    ['src-service/drive/connectors/planted-cloud/planted-code.ts', 'export const planted = 1'],
  ],
  'wire-types-stop-at-the-door': [
    ['src-service/control/mounts/planted-wire.ts', `import type {} from '../../../proto/gen/planted_pb.ts'`],
    ['proto/gen/planted_pb.ts', 'export const planted = 1'],
  ],
  'product-not-tests': [
    ['src-service/drive/vfs/planted-test-import.ts', `import '../../../tests/planted-support.ts'`],
    ['tests/planted-support.ts', 'export const planted = 1'],
  ],
  'product-not-dev-packages': [['src-cli/planted/dev-package.ts', `import 'fast-check'`]],
  'no-cycles': [
    ['src-cli/planted/cycle-a.ts', `import './cycle-b.ts'`],
    ['src-cli/planted/cycle-b.ts', `import './cycle-a.ts'`],
  ],
  'no-unresolvable': [['src-cli/planted/nowhere.ts', `import './is-not-there.ts'`]],
}

/** The rules `<room>-<folder>-only-downward`: an import from each lower folder into the one above it. */
const upward: readonly [lower: string, upper: string][] = [
  ['control/mounts', 'control/api'],
  ['control/jobs', 'control/mounts'],
  ['control/alerts', 'control/mounts'],
  ['control/health', 'control/providers'],
  ['control/users', 'control/mounts'],
  ['control/providers', 'control/mounts'],
  ['control/vault', 'control/providers'],
  ['control/store', 'control/api'],
  ['drive/fuse', 'drive/worker'],
  ['drive/tasks', 'drive/worker'],
  ['drive/dav', 'drive/worker'],
  ['drive/vfs', 'drive/fuse'],
  ['drive/cache', 'drive/vfs'],
  ['drive/connectors', 'drive/cache'],
]

const roots = ['src-service', 'src-cli', 'proto']
const { forbidden } = createRequire(import.meta.url)(join(projectRoot, '.dependency-cruiser.cjs')) as Config

function cruise(tree: PlantedTree): Report {
  const { output } = tree.run('depcruise', ['--config', '.dependency-cruiser.cjs', '--output-type', 'json', ...roots])
  return JSON.parse(output.slice(output.indexOf('{'), output.lastIndexOf('}') + 1)) as Report
}

describe('import rules', () => {
  let tree: PlantedTree
  let found: Report['summary']['violations']

  beforeAll(() => {
    tree = plantedTree([...roots, 'tests'])
    for (const files of Object.values(plants)) for (const [file, text] of files) tree.plant(file, `${text}\nexport {}\n`)
    for (const [lower, upper] of upward) {
      const target = upper.replace('/', '-')
      tree.plant(`src-service/${upper}/planted-${target}.ts`, 'export const planted = 1\n')
      tree.plant(`src-service/${lower}/planted-upward.ts`, `import '../../${upper}/planted-${target}.ts'\n`)
    }
    found = cruise(tree).summary.violations
  })
  afterAll(() => {
    tree.remove()
  })

  it.each(forbidden.map((rule) => rule.name))('%s catches a planted violation', (name) => {
    const lower = /^(control|drive)-(.*)-only-downward$/.exec(name)
    const planted = lower === null ? plants[name]?.[0]?.[0] : `src-service/${lower[1] ?? ''}/${lower[2] ?? ''}/planted-upward.ts`
    expect(planted, `no violation of ${name} is planted in this test`).toBeDefined()
    expect(found.filter((violation) => violation.rule.name === name).map((violation) => violation.from)).toContain(planted)
  })

  it('plants nothing for a rule that is gone', () => {
    const names = forbidden.map((rule) => rule.name)
    expect(names).toEqual(expect.arrayContaining(Object.keys(plants)))
    expect(names.filter((name) => name.endsWith('-only-downward'))).toHaveLength(upward.length)
  })

  it('lets the project as it is pass, and reads it', () => {
    const clean = plantedTree([...roots, 'tests'])
    try {
      const report = cruise(clean)
      expect(report.summary.violations.map((violation) => `${violation.rule.name}: ${violation.from} -> ${violation.to}`)).toEqual([])
      expect(report.summary.totalCruised).toBeGreaterThan(50)
    } finally {
      clean.remove()
    }
  })
})
