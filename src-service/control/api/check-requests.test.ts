import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect, test } from 'vitest'
import { messageSchema, noComments } from '../../../proto/openapi/json-schema.ts'
import type { Components } from '../../../proto/openapi/json-schema.ts'
import { loadContract } from '../../../proto/policy-faults.ts'

test('what requests are checked by are JSON Schemas', async () => {
  const ajv = new Ajv2020({ strict: false })
  const methods = (await loadContract()).flatMap((file) => file.services).flatMap((service) => service.methods)
  expect(methods.length).toBeGreaterThan(50)
  for (const { input, name } of methods) {
    const components: Components = { schemas: new Map(), describe: noComments }
    const schema = { ...messageSchema(input, components), components: { schemas: Object.fromEntries(components.schemas) } }
    expect(ajv.validateSchema(schema), name).toBe(true)
    for (const [message, inner] of components.schemas) expect(ajv.validateSchema(inner), message).toBe(true)
  }
})
