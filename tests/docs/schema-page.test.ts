import { join } from 'node:path'
import { expect, it } from 'vitest'
import { projectRoot } from './project-root.ts'
import { schemaPage } from './schema-page.ts'

it('the page of the database is what the migrations make; `npx vitest run tests/docs/schema-page.test.ts -u` writes it anew', async () => {
  await expect(schemaPage()).toMatchFileSnapshot(join(projectRoot, 'docs/operations/database.md'))
})
