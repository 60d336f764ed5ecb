import { expect, it } from 'vitest'
import { notices } from './notices.ts'
import { root } from './run-command.ts'

it('names every package in a bundle with its licence text, and those beside it', () => {
  const text = notices(
    root,
    ['src-cli/main.ts', 'node_modules/commander/index.js', 'node_modules/@connectrpc/connect/dist/esm/index.js'],
    ['better-sqlite3'],
  )
  expect(text).toMatch(/^commander \d+\.\d+\.\d+\nLicence: MIT\n\n\(The MIT License\)/m)
  expect(text).toMatch(/^@connectrpc\/connect \d/m)
  expect(text).toMatch(/^better-sqlite3 \d/m)
  expect(text).not.toContain('src-cli')
})
