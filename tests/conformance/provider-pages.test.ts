import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { descriptors } from '../../src-service/drive/connectors/manifest.ts'
import { sheetTable } from './webdav-sheets.ts'

/** Each provider type has a page, and the page names every option and every preset. */
describe.each(descriptors.map((descriptor) => [descriptor.type, descriptor] as const))('the page of %s', (_type, descriptor) => {
  test('names every option and preset', async () => {
    const page = await readFile(join(import.meta.dirname, '../..', descriptor.docs), 'utf8')
    const names = [...Object.keys(descriptor.options.properties), ...descriptor.presets.map((preset) => preset.name)]
    expect(names.filter((name) => !page.includes(`| \`${name}\` |`))).toEqual([])
  })
})

test('the dialects of WebDAV are those that the servers show', async () => {
  const page = await readFile(join(import.meta.dirname, '../..', 'docs/providers/webdav.md'), 'utf8')
  expect(page).toContain(sheetTable())
})
