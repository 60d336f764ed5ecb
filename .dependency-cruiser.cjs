/**
 * The import rules of docs/architecture.md. Each rule has a planted violation in tests/fences/import-rules.test.ts;
 * a rule without one fails that test.
 */

/** Levels of each room, top first: a folder imports only from lower levels (folders on one level do not see each other). */
const rooms = {
  control: [['api'], ['mounts'], ['jobs', 'alerts', 'health', 'users', 'providers'], ['vault'], ['store']],
  drive: [['worker'], ['fuse', 'dav', 'tasks'], ['vfs'], ['cache'], ['connectors']],
}

const isTest = '\\.test\\.ts$'

function downwardRules(room) {
  const levels = rooms[room]
  return levels
    .flatMap((level, depth) =>
      level.map((folder) => {
        const notBelow = levels
          .slice(0, depth + 1)
          .flat()
          .filter((other) => other !== folder)
        return {
          name: `${room}-${folder}-only-downward`,
          comment: `${room}: ${levels.map((names) => names.join(', ')).join(' > ')}`,
          severity: 'error',
          from: { path: `^src-service/${room}/${folder}/` },
          to: { path: `^src-service/${room}/(${notBelow.join('|')})/` },
        }
      }),
    )
    .filter((rule) => !rule.to.path.endsWith('()/'))
}

module.exports = {
  forbidden: [
    {
      name: 'programs-share-nothing',
      comment: 'No src-* imports another, not even a type: programs share proto/ and assets/locales.',
      severity: 'error',
      from: { path: '^(src-[^/]+)/' },
      to: { path: '^src-', pathNot: '^$1/' },
    },
    {
      name: 'proto-is-a-leaf',
      severity: 'error',
      from: { path: '^proto/' },
      to: { path: '^(src-|tests/|scripts/|bench/)' },
    },
    {
      name: 'control-not-drive',
      comment: 'control/ knows connectors as data only.',
      severity: 'error',
      from: { path: '^src-service/(control/|main\\.ts)', pathNot: isTest },
      to: {
        path: '^src-service/(drive/|worker\\.ts)',
        pathNot: '^src-service/drive/connectors/(manifest|validate-options|connector)\\.ts$',
      },
    },
    {
      name: 'control-connector-types-only',
      comment: 'Of the contract, control/ uses the descriptor types.',
      severity: 'error',
      from: { path: '^src-service/(control/|main\\.ts)' },
      to: { path: '^src-service/drive/connectors/connector\\.ts$', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'drive-not-control',
      severity: 'error',
      from: { path: '^src-service/(drive/|worker\\.ts)' },
      to: { path: '^src-service/(control/|main\\.ts)' },
    },
    {
      name: 'common-is-a-leaf',
      severity: 'error',
      from: { path: '^src-service/common/', pathNot: isTest },
      to: { path: '^src-service/(control|drive|main\\.ts|worker\\.ts)' },
    },
    ...downwardRules('control'),
    ...downwardRules('drive'),
    {
      name: 'drive-parts-not-their-root',
      comment: 'The parts know the contract of the drive, never what wires them.',
      severity: 'error',
      from: { path: '^src-service/drive/(fuse|tasks|vfs|cache|connectors)/', pathNot: isTest },
      to: { path: '^src-service/drive/[^/]+\\.ts$', pathNot: '^src-service/drive/drive-contract\\.ts$' },
    },
    {
      name: 'provider-folder-by-registry-only',
      comment: 'The registry lists the providers; the manifest reads their descriptors.',
      severity: 'error',
      from: {
        path: '^src-service/',
        pathNot: '^src-service/drive/connectors/(([^/]+)/|(registry|manifest)\\.ts$)',
      },
      to: { path: '^src-service/drive/connectors/[^/]+/' },
    },
    {
      name: 'providers-do-not-see-each-other',
      severity: 'error',
      from: { path: '^src-service/drive/connectors/([^/]+)/' },
      to: { path: '^src-service/drive/connectors/[^/]+/', pathNot: '^src-service/drive/connectors/$1/' },
    },
    {
      name: 'manifest-is-data',
      comment: 'The manifest is read by control/: descriptors come in, connectors do not.',
      severity: 'error',
      from: { path: '^src-service/drive/connectors/manifest\\.ts$' },
      to: { path: '^src-service/drive/connectors/([^/]+/(?!descriptor\\.ts$|presets\\.ts$)|registry\\.ts$)' },
    },
    {
      name: 'wire-types-stop-at-the-door',
      comment: 'Generated protobuf types are used by the API, the clients and the adoption frames.',
      severity: 'error',
      from: {
        path: '^src-service/',
        pathNot: '^src-service/(control/api/|common/frames/adoption)',
      },
      to: { path: '^proto/' },
    },
    {
      name: 'product-not-tests',
      severity: 'error',
      from: { path: '^(src-|proto/)', pathNot: isTest },
      to: { path: `(^(tests|bench|scripts)/|${isTest})` },
    },
    {
      name: 'product-not-dev-packages',
      comment: 'What a bundle needs is a dependency.',
      severity: 'error',
      from: { path: '^(src-|proto/)', pathNot: isTest },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|build|coverage)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    moduleSystems: ['es6', 'cjs'],
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'types', 'default'] },
  },
}
