import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, test } from 'vitest'
import type { OptionValue } from './validate-options.ts'
import { descriptors } from './manifest.ts'
import { validateOptions } from './validate-options.ts'

function check(type: string, options: Record<string, OptionValue>, secrets: readonly string[] = []) {
  const descriptor = descriptors.find((known) => known.type === type)
  if (!descriptor) throw new Error(type)
  return validateOptions(descriptor, { options, secrets })
}

test.each(descriptors.map(({ type, options }) => [type, options] as const))('the options of %s are a JSON Schema', (_type, options) => {
  expect(new Ajv2020().validateSchema(options)).toBe(true)
})

describe('options', () => {
  test('text becomes what the schema says', () => {
    const { values, problems } = check('local', { path: '/srv', create: 'true' })
    expect(problems).toEqual([])
    expect(values).toEqual({ path: '/srv', create: true })
    const s3 = check('s3', { accessKeyId: 'AK', partSize: '16', pathStyle: 'false' }, ['secretAccessKey'])
    expect(s3).toEqual({ values: { accessKeyId: 'AK', partSize: 16, pathStyle: false }, problems: [] })
  })

  test('an unknown option names the nearest', () => {
    expect(check('s3', { acesKeyId: 'AK', accessKeyId: 'AK' }, ['secretAccessKey']).problems).toMatchObject([
      { option: 'acesKeyId', reason: 'unknown', nearest: 'accessKeyId' },
    ])
    expect(check('s3', { accessKeyId: 'AK', bukcet: 'b' }, ['secretAccesKey', 'secretAccessKey']).problems.map((p) => p.nearest)).toEqual([
      'bucket',
      'secretAccessKey',
    ])
    expect(check('local', { path: '/x', zzzzzzzzzzzz: '1' }).problems[0]?.message).toContain('It has: path, create')
  })

  test('names of the object prototype are unknown like any other', () => {
    expect(check('local', { path: '/x', constructor: 'x' }).problems).toMatchObject([{ option: 'constructor', reason: 'unknown' }])
  })

  test('what is missing is said, with the way to give it', () => {
    const { problems } = check('s3', {})
    expect(problems.map(({ option, reason }) => `${option} ${reason}`)).toEqual(['accessKeyId missing', 'secretAccessKey missing'])
    expect(problems[1]?.message).toContain('--set-secret secretAccessKey=-')
  })

  test('what another option stands in for is not missing', () => {
    expect(check('s3', { anonymous: 'true' }).problems).toEqual([])
    expect(check('s3', { credentials: 'instance' }).problems).toEqual([])
    expect(check('s3', { anonymous: 'false' }).problems.map(({ option }) => option)).toEqual(['accessKeyId', 'secretAccessKey'])
  })

  test('secrets and plain values do not change places', () => {
    const { problems } = check('s3', { accessKeyId: 'AK', secretAccessKey: 'in clear' }, ['bucket'])
    expect(problems).toMatchObject([
      { option: 'secretAccessKey', reason: 'secret-in-clear' },
      { option: 'bucket', reason: 'not-secret' },
    ])
    expect(JSON.stringify(problems)).not.toContain('in clear')
  })

  test.each([
    ['s3', { accessKeyId: 'AK', preset: 'azure' }, 'preset'],
    ['s3', { accessKeyId: 'AK', endpoint: 'minio:9000' }, 'endpoint'],
    ['s3', { accessKeyId: 'AK', partSize: 'many' }, 'partSize'],
    ['s3', { accessKeyId: 'AK', partSize: '4' }, 'partSize'],
    ['s3', { accessKeyId: 'AK', pathStyle: 'perhaps' }, 'pathStyle'],
    ['s3', { accessKeyId: 'AK', bucket: 'a' }, 'bucket'],
    ['local', { path: 'relative/path' }, 'path'],
  ])('%s refuses %o', (type, options, option) => {
    const { problems } = check(type, options, type === 's3' ? ['secretAccessKey'] : [])
    expect(problems).toMatchObject([{ option, reason: 'invalid' }])
  })
})

describe('descriptors', () => {
  test('are in one order, with one name each', () => {
    expect(descriptors.map((descriptor) => descriptor.type)).toEqual(['local', 's3', 'webdav'])
  })

  test('are plain data', () => {
    for (const descriptor of descriptors) expect(JSON.parse(JSON.stringify(descriptor))).toEqual(descriptor)
  })

  test('have presets whose values are valid options', () => {
    for (const descriptor of descriptors) {
      for (const preset of descriptor.presets) {
        const problems = validateOptions(descriptor, { options: preset.values, secrets: [] }).problems
        expect(
          problems.filter((problem) => problem.reason !== 'missing'),
          preset.name,
        ).toEqual([])
      }
    }
  })
})
