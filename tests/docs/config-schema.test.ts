import { expect, it } from 'vitest'
import { documentSchema } from '../../src-service/control/config/document-schema.ts'
import { descriptors } from '../../src-service/drive/connectors/manifest.ts'

it('docs/config.schema.json is what a configuration is checked with', async () => {
  const schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'CloudMoor configuration',
    ...documentSchema(descriptors),
  }
  await expect(`${JSON.stringify(schema, null, 2)}\n`).toMatchFileSnapshot('../../docs/config.schema.json')
})
