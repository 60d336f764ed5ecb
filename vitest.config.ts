import { defineConfig } from 'vitest/config'
import { bundledThreads } from './tests/support/bundled-threads.ts'

const seconds = 1000

/** Tests that mostly wait: two files at a time. The others load the machine, or count on having it: one after the other. */
const sideBySide = ['api', 'cli', 'conformance', 'security', 'semantics', 'store', 'vault'].map((folder) => `tests/${folder}/**/*.test.ts`)

export default defineConfig({
  test: {
    maxWorkers: 2,
    reporters: ['default', './scripts/lib/conformance-reporter.ts'],
    projects: [
      {
        plugins: [bundledThreads()],
        test: {
          name: 'unit',
          setupFiles: ['tests/support/random-setup.ts'],
          include: ['src-*/**/*.test.ts', 'proto/**/*.test.ts', 'scripts/**/*.test.ts', 'bench/*.test.ts'],
          testTimeout: 20 * seconds,
          hookTimeout: 20 * seconds,
          expect: { poll: { interval: 5 } },
        },
      },
      {
        test: {
          name: 'fences',
          include: ['tests/fences/**/*.test.ts'],
          testTimeout: 60 * seconds,
          hookTimeout: 60 * seconds,
        },
      },
      {
        test: {
          name: 'integration',
          setupFiles: ['tests/support/random-setup.ts'],
          include: ['tests/**/*.test.ts'],
          exclude: ['tests/fences/**', ...sideBySide],
          fileParallelism: false,
          sequence: { groupOrder: 2 },
          testTimeout: 60 * seconds,
          hookTimeout: 120 * seconds,
        },
      },
      {
        test: {
          name: 'side-by-side',
          setupFiles: ['tests/support/random-setup.ts'],
          include: sideBySide,
          sequence: { groupOrder: 1 },
          testTimeout: 60 * seconds,
          hookTimeout: 120 * seconds,
        },
      },
    ],
  },
})
