import { defineConfig } from 'vitest/config'

/** Where the machine is small, real mounts and servers are tested one after the other. */
const seconds = 1000

export default defineConfig({
  test: {
    maxWorkers: 2,
    reporters: ['default', './scripts/lib/conformance-reporter.ts'],
    projects: [
      {
        test: {
          name: 'unit',
          setupFiles: ['tests/support/random-setup.ts'],
          include: ['src-*/**/*.test.ts', 'proto/**/*.test.ts', 'scripts/**/*.test.ts', 'bench/*.test.ts'],
          testTimeout: 20 * seconds,
          hookTimeout: 20 * seconds,
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
          exclude: ['tests/fences/**'],
          fileParallelism: false,
          testTimeout: 60 * seconds,
          hookTimeout: 120 * seconds,
        },
      },
    ],
  },
})
