import { expect, it } from 'vitest'
import { nearest } from './nearest.ts'

const options = ['endpoint', 'region', 'bucket', 'pathStyle', 'accessKeyId', 'secretAccessKey']

it.each([
  ['endpont', 'endpoint'],
  ['buckte', 'bucket'],
  ['pathstyle', 'pathStyle'],
  ['accesKeyID', 'accessKeyId'],
])('%s is nearest to %s', (wanted, name) => {
  expect(nearest(wanted, options)).toBe(name)
})

it('gives nothing where nothing is like it', () => {
  expect(nearest('colour', options)).toBeUndefined()
  expect(nearest('x', [])).toBeUndefined()
})
