import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { amzDate, canonicalQuery, encodeKey, Signer } from './sign-v4.ts'

const emptyHash = createHash('sha256').update('').digest('hex')

/** Keys and requests that AWS publishes for testing signers. */
const suiteKeys = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' }
const docsKeys = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' }

function signatureOf(authorization: string): string | undefined {
  return /Signature=([0-9a-f]{64})$/.exec(authorization)?.[1]
}

describe('the published test suite of Signature Version 4', () => {
  const signer = new Signer('us-east-1', 'service')
  const headers = { host: 'example.amazonaws.com', 'x-amz-date': '20150830T123600Z' }
  const vectors = [
    { name: 'get-vanilla', path: '/', query: [], signature: '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31' },
    {
      name: 'get-vanilla-query-order-key-case',
      path: '/',
      query: [
        ['Param2', 'value2'],
        ['Param1', 'value1'],
      ] as const,
      signature: 'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500',
    },
    {
      name: 'get-unreserved',
      path: '/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz',
      query: [],
      signature: '07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f',
    },
    {
      name: 'get-space',
      path: '/example space/',
      query: [],
      signature: '652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741',
    },
    { name: 'get-utf8', path: '/\u1234', query: [], signature: '8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85' },
    {
      name: 'get-vanilla-utf8-query',
      path: '/',
      query: [['\u1234', 'bar']] as const,
      signature: '2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04',
    },
  ]
  test.each(vectors)('$name', ({ path, query, signature }) => {
    const request = { method: 'GET', path: encodeKey(Buffer.from(path)), query: canonicalQuery(query), headers, payloadHash: emptyHash }
    expect(signatureOf(signer.sign(request, suiteKeys))).toBe(signature)
  })

  test('get-header-value-trim', () => {
    const spaced = { ...headers, 'my-header1': ' value1', 'my-header2': ' "a   b   c"' }
    const request = { method: 'GET', path: '/', query: '', headers: spaced, payloadHash: emptyHash }
    expect(signatureOf(signer.sign(request, suiteKeys))).toBe('acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736')
  })

  test('post-vanilla', () => {
    const request = { method: 'POST', path: '/', query: '', headers, payloadHash: emptyHash }
    expect(signatureOf(signer.sign(request, suiteKeys))).toBe('5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b')
  })
})

describe('the examples in the documentation of S3', () => {
  const signer = new Signer('us-east-1', 's3')
  const host = 'examplebucket.s3.amazonaws.com'
  const date = { 'x-amz-date': '20130524T000000Z' }

  test('GET of a range', () => {
    const headers = { host, range: 'bytes=0-9', 'x-amz-content-sha256': emptyHash, ...date }
    const request = { method: 'GET', path: encodeKey(Buffer.from('/test.txt')), query: '', headers, payloadHash: emptyHash }
    expect(signer.sign(request, docsKeys)).toBe(
      'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, ' +
        'SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, ' +
        'Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    )
  })

  test('PUT with a dollar sign in the key', () => {
    const payloadHash = createHash('sha256').update('Welcome to Amazon S3.').digest('hex')
    const headers = {
      host,
      date: 'Fri, 24 May 2013 00:00:00 GMT',
      'x-amz-storage-class': 'REDUCED_REDUNDANCY',
      'x-amz-content-sha256': payloadHash,
      ...date,
    }
    const request = { method: 'PUT', path: encodeKey(Buffer.from('/test$file.text')), query: '', headers, payloadHash }
    expect(signatureOf(signer.sign(request, docsKeys))).toBe('98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd')
  })

  test('a query without a value, and a listing', () => {
    const headers = { host, 'x-amz-content-sha256': emptyHash, ...date }
    const sign = (query: readonly (readonly [string, string])[]) =>
      signatureOf(signer.sign({ method: 'GET', path: '/', query: canonicalQuery(query), headers, payloadHash: emptyHash }, docsKeys))
    expect(sign([['lifecycle', '']])).toBe('fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543')
    expect(
      sign([
        ['prefix', 'J'],
        ['max-keys', '2'],
      ]),
    ).toBe('34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7')
  })
})

describe('encoding', () => {
  test('keeps what is unreserved, and slashes in keys', () => {
    expect(encodeKey(Buffer.from("a/b c+d%e~f/\u00e9&?#=@:!$'()*,;"))).toBe(
      'a/b%20c%2Bd%25e~f/%C3%A9%26%3F%23%3D%40%3A%21%24%27%28%29%2A%2C%3B',
    )
    expect(encodeKey(Buffer.from([0x61, 0xff, 0x00]))).toBe('a%FF%00')
  })

  test('sorts a query by encoded names and values', () => {
    expect(
      canonicalQuery([
        ['b', '2'],
        ['a', 'x/y'],
        ['b', '1'],
        ['B', ' '],
      ]),
    ).toBe('B=%20&a=x%2Fy&b=1&b=2')
  })

  test('writes the time as AWS wants it', () => {
    expect(amzDate(Date.UTC(2015, 7, 30, 12, 36, 0, 999))).toBe('20150830T123600Z')
  })
})

test('the key of the day follows the day and the secret', () => {
  const signer = new Signer('us-east-1', 's3')
  const sign = (day: string, secretAccessKey: string) => {
    const headers = { host: 'h', 'x-amz-date': `${day}T000000Z` }
    return signer.sign({ method: 'GET', path: '/', query: '', headers, payloadHash: emptyHash }, { accessKeyId: 'a', secretAccessKey })
  }
  const first = sign('20260101', 'one')
  expect(sign('20260102', 'one')).not.toBe(first)
  expect(sign('20260101', 'two')).not.toBe(first)
  expect(sign('20260101', 'one')).toBe(first)
})
