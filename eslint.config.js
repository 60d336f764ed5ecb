import tseslint from 'typescript-eslint'

/** House style as rules; each is planted and caught in tests/fences. Exceptions are made per line, with a reason. */
const kebabFileName = {
  create(context) {
    const name = context.filename.split(/[\\/]/).at(-1)
    return {
      Program(node) {
        if (!/^[a-z0-9]+(-[a-z0-9]+)*(\.(test|config|d))?\.(ts|tsx|js|cjs)$/.test(name)) {
          context.report({ node, message: `file name '${name}' is not kebab-case` })
        }
      },
    }
  },
}

const reasonedDisable = {
  create(context) {
    return {
      Program() {
        for (const comment of context.sourceCode.getAllComments()) {
          if (/^\s*eslint-disable/.test(comment.value) && !/ -- \S/.test(comment.value)) {
            context.report({ loc: comment.loc, message: 'an exception says its reason: // eslint-disable-next-line RULE -- why' })
          }
        }
      },
    }
  },
}

const noDefaultExport = {
  selector: 'ExportDefaultDeclaration',
  message: 'Export by name: one thing has one name everywhere.',
}

const bannedSyntax = [
  { selector: 'ExportAllDeclaration', message: 'No barrels: import from where it is.' },
  { selector: 'ExportNamedDeclaration[source]', message: 'No barrels: import from where it is.' },
  { selector: 'ForInStatement', message: 'Use Object.keys or Object.entries.' },
]

export default tseslint.config(
  {
    ignores: ['node_modules/', 'dist/', 'build/', 'coverage/', '.tools/', 'proto/gen/'],
  },
  {
    files: ['**/*.ts', '**/*.tsx'],
    extends: [...tseslint.configs.strictTypeChecked],
    plugins: { cloudmoor: { rules: { 'kebab-file-name': kebabFileName, 'reasoned-disable': reasonedDisable } } },
    languageOptions: { parserOptions: { projectService: true } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      'cloudmoor/kebab-file-name': 'error',
      'cloudmoor/reasoned-disable': 'error',
      'max-lines': ['error', { max: 400 }],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-var': 'error',
      'prefer-const': 'error',
      'no-restricted-syntax': ['error', noDefaultExport, ...bannedSyntax],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'separate-type-imports' }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/promise-function-async': 'off',
      // Numbers in messages are what messages are for; objects are still refused.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      // `() => send(x)` where nobody looks at the result is clearer than a block.
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      // An async function may keep its promise contract without waiting for anything.
      '@typescript-eslint/require-await': 'off',
      // `while (true)` with a return inside is the plain way to write a loop.
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: 'only-allowed-literals' }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', caughtErrors: 'all' }],
    },
  },
  {
    // Nothing on a worker's loop waits for a disk (docs/decisions/0019).
    files: ['src-service/drive/**/*.ts'],
    ignores: ['**/*.test.ts', 'src-service/drive/cache/blobs/disk-now.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: [{ name: 'fs', message: "Write 'node:fs'." }],
          patterns: [
            {
              group: ['node:fs'],
              importNamePattern: 'Sync$',
              message: 'Waits for the disk on the event loop. Use node:fs/promises.',
            },
          ],
        },
      ],
    },
  },
  {
    files: ['**/*.test.ts', 'tests/**/*.ts'],
    rules: {
      // expect.objectContaining() and its kin are typed `any`.
      '@typescript-eslint/no-unsafe-assignment': 'off',
    },
  },
  {
    files: ['*.config.ts'],
    rules: { 'no-restricted-syntax': ['error', ...bannedSyntax] },
  },
)
