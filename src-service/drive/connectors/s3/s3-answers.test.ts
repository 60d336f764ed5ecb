import { describe, expect, test } from 'vitest'
import { CloudError } from '../../../common/errors.ts'
import { parseRetryAfter } from '../http.ts'
import { decodeUrl, readPage } from './list-objects.ts'
import { formatTime, foreignHeaders, metadataHeaders, parseTime, posixOfMetadata, typeOfMetadata } from './metadata.ts'
import { partSizeFor } from './multipart.ts'
import { s3Error } from './s3-errors.ts'
import { parseXml, textOf } from '../xml.ts'

const now = Date.UTC(2026, 0, 1, 12, 0, 0)

describe('errors', () => {
  const said = (code: string) => `<?xml version="1.0"?><Error><Code>${code}</Code><Message>why</Message></Error>`
  test.each([
    [403, 'SignatureDoesNotMatch', 'sign-in'],
    [403, 'InvalidAccessKeyId', 'sign-in'],
    [400, 'ExpiredToken', 'sign-in'],
    [403, 'AccessDenied', 'access'],
    [404, 'NoSuchBucket', 'not-found'],
    [404, 'NoSuchKey', 'not-found'],
    [412, 'PreconditionFailed', 'conflict'],
    [409, 'ConditionalRequestConflict', 'unavailable'],
    [503, 'SlowDown', 'throttled'],
    [429, 'TooManyRequests', 'throttled'],
    [500, 'InternalError', 'unavailable'],
    [200, 'InternalError', 'garbage'],
    [501, 'NotImplemented', 'unsupported'],
    [507, 'XMinioStorageFull', 'quota'],
  ])('%i %s is %s', (status, code, kind) => {
    expect(s3Error(status, {}, said(code), now)).toMatchObject({ kind, code })
  })

  test.each([
    [401, 'sign-in'],
    [403, 'access'],
    [404, 'not-found'],
    [412, 'conflict'],
    [416, 'conflict'],
    [429, 'throttled'],
    [503, 'throttled'],
    [502, 'unavailable'],
    [400, 'invalid'],
    [302, 'garbage'],
  ])('%i without a word is %s', (status, kind) => {
    for (const body of ['', '<html><body>nginx</body></html>', '\u0000\u0001', '<Error><Code>']) {
      expect(s3Error(status, {}, body, now).kind, body).toBe(kind)
    }
  })

  test('a wrong clock is told with its offset', () => {
    const headers = { date: new Date(now - 3_600_000).toUTCString() }
    const error = s3Error(403, headers, said('RequestTimeTooSkewed'), now)
    expect(error.kind).toBe('sign-in')
    expect(error.hint).toBe("The clock of this machine is 3600 s ahead of the server's: set it.")
    expect(s3Error(403, { date: new Date(now + 90_000).toUTCString() }, said('RequestTimeTooSkewed'), now).hint).toContain('90 s behind')
  })

  test('a bucket of another region names it', () => {
    expect(s3Error(301, { 'x-amz-bucket-region': 'eu-west-1' }, said('PermanentRedirect'), now)).toMatchObject({
      kind: 'sign-in',
      hint: 'The bucket is in the region eu-west-1: set region=eu-west-1.',
    })
    const body = '<Error><Code>AuthorizationHeaderMalformed</Code><Message>x</Message><Region>eu-west-1</Region></Error>'
    expect(s3Error(400, {}, body, now).hint).toContain('region=eu-west-1')
  })

  test('Retry-After in both its forms, bounded', () => {
    expect(parseRetryAfter('7', now)).toBe(7000)
    expect(parseRetryAfter(new Date(now + 9000).toUTCString(), now)).toBe(9000)
    expect(parseRetryAfter(new Date(now - 9000).toUTCString(), now)).toBe(0)
    expect(parseRetryAfter('999999', now)).toBe(3_600_000)
    expect(parseRetryAfter('soon', now)).toBeUndefined()
    expect(s3Error(503, { 'retry-after': '3' }, '', now).retryAfterMs).toBe(3000)
  })
})

describe('XML', () => {
  test('elements and text, whatever surrounds them', () => {
    const text = '<?xml version="1.0"?>\n<s3:A xmlns:s3="http://x/">\n <s3:B>1</s3:B><B>2</B><C/><D a="1"/> </s3:A>\n'
    const node = parseXml(text, 'A')
    expect(node.children.map(({ name, text: inner }) => `${name}=${inner}`)).toEqual(['B=1', 'B=2', 'C=', 'D='])
  })

  test('entities of its own are not expanded', () => {
    const bomb = '<!DOCTYPE a [<!ENTITY x "boom">]><ListBucketResult><Name>&x;</Name></ListBucketResult>'
    expect(() => parseXml(bomb, 'ListBucketResult')).toThrow(CloudError)
    expect(textOf(parseXml('<A><B>&lt;&amp;&#39;&#x20ac;&quot;&unknown;</B></A>', 'A'), 'B')).toBe('<&\'\u20ac"&unknown;')
  })

  const half = '<ListBucketResult><Contents>'
  const crossed = '<ListBucketResult><A><B></A></B></ListBucketResult>'
  const twice = '<ListBucketResult></ListBucketResult><ListBucketResult></ListBucketResult>'
  const deep = '<A>'.repeat(50_000)
  const tail = '<ListBucketResult></ListBucketResult>and more'
  test.each([
    '',
    'plain',
    '<html></html>',
    half,
    crossed,
    twice,
    deep,
    tail,
    '<ListBucketResult',
    '</ListBucketResult>',
    '{"json":1}',
    '<A/>',
  ])('%s is garbage', (text) => {
    expect(() => parseXml(text, 'ListBucketResult')).toThrow(expect.objectContaining({ kind: 'garbage' }))
  })
})

describe('listings', () => {
  const contents = (key: string, more = '') =>
    `<Contents><Key>${key}</Key><LastModified>2026-01-01T12:00:00.123Z</LastModified><ETag>&#34;e&#34;</ETag><Size>3</Size>${more}</Contents>`
  const page = (inner: string, truncated = 'false') =>
    parseXml(
      `<ListBucketResult><IsTruncated>${truncated}</IsTruncated><EncodingType>url</EncodingType>${inner}</ListBucketResult>`,
      'ListBucketResult',
    )

  test('a file and a folder of one name are both there', () => {
    const { entries } = readPage(page(`${contents('t/a')}<CommonPrefixes><Prefix>t/a/</Prefix></CommonPrefixes>`), Buffer.from('t/'))
    expect(entries.map((entry) => `${entry.type} ${entry.name.toString()}`)).toEqual(['folder a', 'file a'])
  })

  test('the marker of the folder itself is not in it', () => {
    expect(readPage(page(contents('t/') + contents('t/a')), Buffer.from('t/'))).toMatchObject({
      marker: true,
      entries: [{ name: Buffer.from('a') }],
    })
  })

  test('what can be no name is hidden, and said', () => {
    const inner = `${contents('t/..')}${contents('t/.')}${contents('t/a%00b')}<CommonPrefixes><Prefix>t//</Prefix></CommonPrefixes>${contents('t/ok')}`
    const { entries, hidden } = readPage(page(inner), Buffer.from('t/'))
    expect(entries.map((entry) => entry.name.toString())).toEqual(['ok'])
    expect(hidden).toEqual(['t//', 't/..', 't/.', 't/a\u0000b'])
  })

  test('facts of an object', () => {
    expect(readPage(page(contents('a')), Buffer.from('')).entries[0]).toMatchObject({
      size: 3,
      rev: '"e"',
      mtime: { sec: now / 1000, nsec: 123_000_000 },
    })
  })

  test.each([
    ['a key of another folder', page(contents('u/a'))],
    ['a size that is none', page(contents('t/a').replace('<Size>3', '<Size>-3'))],
    ['a time that is none', page(contents('t/a').replace('2026-01', '2026-99'))],
    ['more without a token', page('', 'true')],
    ['no word on whether there is more', parseXml('<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>', 'ListBucketResult')],
    ['a badly encoded key', page(contents('t/%zz'))],
  ])('%s is garbage', (_name, node) => {
    expect(() => readPage(node, Buffer.from('t/'))).toThrow(expect.objectContaining({ kind: 'garbage' }))
  })

  test('keys are decoded to bytes', () => {
    expect(decodeUrl('a+b%2Bc%20%C3%A9%FF').equals(Buffer.concat([Buffer.from('a b+c \u00e9'), Buffer.from([0xff])]))).toBe(true)
    expect(decodeUrl('\u00e9 %25').toString()).toBe('\u00e9 %')
  })
})

describe('metadata', () => {
  const read = (headers: Record<string, string>) => (name: string) => headers[`x-amz-meta-${name}`]

  test('comes back as it was', () => {
    const posix = {
      mode: 0o4751,
      uid: 1000,
      gid: 0,
      mtime: { sec: -2, nsec: 999_999_999 },
      atime: { sec: 1, nsec: 0 },
      rdev: 259,
      target: Buffer.from([0xff, 0x2f]),
    }
    const headers = metadataHeaders('symlink', posix)
    expect(posixOfMetadata(read(headers))).toEqual(posix)
    expect(typeOfMetadata(read(headers), 'file')).toBe('symlink')
  })

  test('is in the form that s3fs and rclone read', () => {
    expect(metadataHeaders('file', { mode: 0o644, uid: 1, gid: 2, mtime: { sec: 1_354_040_105, nsec: 123_456_789 } })).toEqual({
      'x-amz-meta-mode': '33188',
      'x-amz-meta-uid': '1',
      'x-amz-meta-gid': '2',
      'x-amz-meta-mtime': '1354040105.123456789',
    })
    expect(metadataHeaders('file', {})).toEqual({})
  })

  test.each([
    ['33188', { mode: 0o644 }],
    ['100644', { mode: 0o644 }],
    ['0100755', { mode: 0o755 }],
    ['16877', { mode: 0o755 }],
    ['40755', { mode: 0o755 }],
    ['420', { mode: 0o644 }],
    ['rw-r--r--', {}],
    ['99999999', {}],
  ])('mode %s', (mode, posix) => {
    expect(posixOfMetadata(read({ 'x-amz-meta-mode': mode }))).toEqual(posix)
  })

  test.each(['nonsense', '', '1e9', '99999999999999999', '1.2.3'])('the time %s is not said', (mtime) => {
    expect(posixOfMetadata(read({ 'x-amz-meta-mtime': mtime }))).toEqual({})
  })

  test('times are exact, also before 1970', () => {
    for (const time of [
      { sec: 0, nsec: 1 },
      { sec: -1, nsec: 500_000_000 },
      { sec: -1, nsec: 0 },
      { sec: 4_000_000_000, nsec: 999_999_999 },
    ]) {
      expect(parseTime(formatTime(time))).toEqual(time)
    }
    expect(parseTime('1354040105')).toEqual({ sec: 1_354_040_105, nsec: 0 })
  })

  test('what others said about an object is kept by a copy', () => {
    const headers = {
      'content-type': 'text/html',
      'x-amz-meta-mode': '1',
      'x-amz-meta-colour': 'red',
      etag: '"x"',
      'cache-control': 'no-store',
    }
    expect(foreignHeaders(headers)).toEqual({ 'content-type': 'text/html', 'x-amz-meta-colour': 'red', 'cache-control': 'no-store' })
  })
})

test('parts grow so that 10,000 are enough', () => {
  const mebi = 2 ** 20
  expect(partSizeFor(12 * mebi, 8 * mebi)).toBe(8 * mebi)
  for (const size of [78 * 2 ** 30, 2 ** 40, 5 * 2 ** 40]) {
    const part = partSizeFor(size, 8 * mebi)
    expect(size / part).toBeLessThanOrEqual(10_000)
    expect(part % mebi).toBe(0)
  }
})
