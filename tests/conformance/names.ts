import { describe, expect, test } from 'vitest'
import { at, contentsAt, listAll, put, refusal, signal, statOf } from './candidate.ts'
import type { Ground } from './connector-conformance.ts'

const odd: Readonly<Record<string, string>> = {
  'composed unicode': 'caf\u00e9',
  'decomposed unicode': 'cafe\u0301',
  'beyond the basic plane': '\u{1f4c1}\u{20bb7}',
  spaces: ' a  b ',
  'a percent sign': '100%25',
  plus: 'a+b+c',
  hash: 'a#b',
  'signs that queries know': '?a=b&c;d',
  'signs that XML knows': '<a>&amp;"\'',
  'a leading dot': '.hidden',
  'three dots': '...',
  'trailing dot and space': 'end. ',
  'a backslash and a colon': 'c:\\a|b*',
  'a tab and a newline': 'a\tb\nc',
  'a control sign': 'a\u0001b',
  'its own quotes': `'"\`$(x)`,
  '255 bytes': 'n'.repeat(255),
  '255 bytes of three-byte signs': '\u20ac'.repeat(85),
}

/** A name that the capabilities allow comes back byte by byte; one that they do not allow is refused at once. */
export function nameTests({ bench }: Ground): void {
  describe('names', () => {
    test.each(Object.entries(odd))('%s', async (_title, name) => {
      const { connector } = bench()
      const folder = `names of ${Buffer.from(name).toString('hex').slice(0, 32)}`
      await connector.makeFolder(at(folder), {}, signal)
      const bytes = Buffer.from(name)
      await put(connector, at(folder, bytes), 'contents')
      await connector.makeFolder(at(folder, 'beside'), {}, signal)
      await put(connector, at(folder, 'beside', bytes), 'below')
      const listed = await listAll(connector, at(folder))
      expect(listed.map((entry) => entry.name.toString('hex')).sort()).toEqual(
        [bytes, Buffer.from('beside')].map((one) => one.toString('hex')).sort(),
      )
      expect((await statOf(connector, at(folder, bytes))).name.equals(bytes)).toBe(true)
      expect(await contentsAt(connector, at(folder, bytes))).toBe('contents')
      expect(await contentsAt(connector, at(folder, 'beside', bytes))).toBe('below')
    })

    test('a folder may have an odd name too', async () => {
      const { connector } = bench()
      const name = 'odd %2F +&# caf\u00e9'
      await connector.makeFolder(at(name), {}, signal)
      await put(connector, at(name, 'file'), 'x')
      expect((await listAll(connector, at(name))).map((entry) => entry.name.toString())).toEqual(['file'])
    })

    test('composed and decomposed names are two names', async () => {
      const { connector } = bench()
      await connector.makeFolder(at('two'), {}, signal)
      await put(connector, at('two', '\u00e9'), 'composed')
      await put(connector, at('two', 'e\u0301'), 'decomposed')
      expect(await contentsAt(connector, at('two', '\u00e9'))).toBe('composed')
      expect(await contentsAt(connector, at('two', 'e\u0301'))).toBe('decomposed')
    })

    test('bytes that are no UTF-8 are kept or refused', async () => {
      const { connector } = bench()
      const name = Buffer.from([0x61, 0xff, 0xfe])
      const bytes = connector.capabilities.names.unicode === 'bytes'
      if (bytes) await put(connector, at(name), 'x')
      else expect(await refusal(put(connector, at(name), 'x'))).toBe('name-invalid')
      expect((await listAll(connector, at())).some((entry) => entry.name.equals(name))).toBe(bytes)
    })

    test('what can be no name is refused', async () => {
      const { connector } = bench()
      for (const name of ['.', '..', '', 'a/b', 'a\0b']) {
        expect(await refusal(put(connector, at(name), 'x')), JSON.stringify(name)).toBe('name-invalid')
      }
    })

    test('a name that is too long is refused', async () => {
      const { connector } = bench()
      const name = 'x'.repeat(connector.capabilities.names.maxBytes + 1)
      expect(await refusal(put(connector, at(name), 'x'))).toBe('name-too-long')
    })
  })
}
