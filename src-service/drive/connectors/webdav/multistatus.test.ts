import { describe, expect, test } from 'vitest'
import { namesOf } from './dav-place.ts'
import { readMultistatus } from './multistatus.ts'
import type { DavFact } from './multistatus.ts'

const found = (properties: string) => `<d:propstat><d:prop>${properties}</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>`
const missing = '<d:propstat><d:prop><d:quota-used-bytes/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>'
const resource = (href: string, inside: string) => `<d:response><d:href>${href}</d:href>${inside}</d:response>`
const whole = (...resources: string[]) =>
  `<?xml version="1.0"?>\n<d:multistatus xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns">${resources.join('\n')}</d:multistatus>`

async function read(text: string, chunk = 7): Promise<DavFact[]> {
  const bytes = Buffer.from(text)
  async function* chunks(): AsyncIterable<Buffer> {
    for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk)
  }
  const facts: DavFact[] = []
  for await (const page of readMultistatus(chunks())) facts.push(...page)
  return facts
}

describe('a multistatus', () => {
  test('properties are found in any part, whatever comes first', async () => {
    const properties = '<d:resourcetype/><d:getcontentlength>5</d:getcontentlength><d:getetag>W/&quot;x-1&quot;</d:getetag>'
    const [fact] = await read(whole(resource('/dav/caf%C3%A9%20%26', missing + found(properties))))
    expect(fact).toMatchObject({ status: 200, collection: false, size: 5, etag: '"x-1"', quotaUsed: null })
    expect(fact?.names.map(String)).toEqual(['dav', 'caf\u00e9 &'])
  })

  test('folders, times, quotas, and numbers that are no numbers', async () => {
    const properties =
      '<d:resourcetype><d:collection/></d:resourcetype><d:getlastmodified>Sun, 09 Sep 2001 01:46:40 GMT</d:getlastmodified>'
    const quota = '<d:quota-used-bytes>12</d:quota-used-bytes><d:quota-available-bytes>-3</d:quota-available-bytes>'
    expect(await read(whole(resource('https://example.com/a/', found(properties + quota))))).toMatchObject([
      { collection: true, modified: 1_000_000_000_000, quotaUsed: 12, quotaAvailable: null, etag: null },
    ])
  })

  test('a resource of which nothing is said', async () => {
    expect(await read(whole(resource('/a', '<d:status>HTTP/1.1 403 Forbidden</d:status>')))).toMatchObject([{ status: 403 }])
    expect(await read(whole(resource('/a', missing)))).toMatchObject([{ status: 200, size: null }])
  })

  test('no resources at all', async () => {
    expect(await read(whole())).toEqual([])
    expect(await read('<multistatus xmlns="DAV:"/>')).toEqual([])
  })

  test('is read in whatever pieces it comes', async () => {
    const text = whole(...Array.from({ length: 50 }, (_, index) => resource(`/a/${index}`, found('<d:resourcetype/>'))))
    for (const chunk of [1, 3, 64, 100_000]) expect((await read(text, chunk)).length, String(chunk)).toBe(50)
  })

  test('is garbage wherever it is cut', async () => {
    const text = whole(resource('/a', found('<d:resourcetype/>')), resource('/b', found('<d:resourcetype/>')))
    for (let end = 0; end < text.length; end++) {
      await expect(read(text.slice(0, end), 16), text.slice(0, end)).rejects.toMatchObject({ kind: 'garbage' })
    }
  })

  test.each([
    ['a page for people', '<html><body>Sign in</body></html>'],
    ['entities of its own', `<!DOCTYPE x [<!ENTITY a "b">]>${whole()}`],
    ['a resource without address', whole('<d:response><d:status>HTTP/1.1 200 OK</d:status></d:response>')],
    ['something behind the end', `${whole()}<more/>`],
    ['a wrong nesting', whole('<d:response><d:href>/a</d:response></d:href>')],
  ])('%s is garbage', async (_title, text) => {
    await expect(read(text)).rejects.toMatchObject({ kind: 'garbage' })
  })

  test('bytes that are no UTF-8 are garbage', async () => {
    async function* chunks(): AsyncIterable<Buffer> {
      yield Buffer.from([0x3c, 0xff, 0xfe])
    }
    await expect(readMultistatus(chunks())[Symbol.asyncIterator]().next()).rejects.toMatchObject({ kind: 'garbage' })
  })
})

test('addresses become names, byte by byte', () => {
  expect(namesOf('/dav//a%2Fb/100%/%zz/%ff/').map((name) => name.toString('latin1'))).toEqual(['dav', 'a/b', '100%', '%zz', '\u00ff'])
})
