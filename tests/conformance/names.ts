import { describe, expect, test } from 'vitest'
import { any, at, contentsAt, listAll, put, refusal, signal, statOf } from './candidate.ts'
import type { Ability } from './candidate.ts'
import type { Connector, RemotePlace } from '../../src-service/drive/connectors/connector.ts'
import type { Ground } from './connector-conformance.ts'

/** What a name is, with the ability that a server may lack for it. */
const odd: Readonly<Record<string, string | readonly [string, Ability]>> = {
  'composed unicode': 'caf\u00e9',
  'decomposed unicode': 'cafe\u0301',
  'beyond the basic plane': '\u{1f4c1}\u{20bb7}',
  spaces: ' a  b ',
  'a percent sign': '100%25',
  plus: 'a+b+c',
  hash: 'a#b',
  'signs that queries know': '?a=b&c;d',
  'signs that XML knows': '<a>&amp;"\'',
  'a leading dot': ['.hidden', 'leading-dots'],
  'three dots': ['...', 'leading-dots'],
  'trailing dot and space': ['end. ', 'trailing-signs'],
  'a backslash and a colon': ['c:\\a|b*', 'backslash'],
  'a tab and a newline': 'a\tb\nc',
  'a control sign': ['a\u0001b', 'control-signs'],
  'its own quotes': `'"\`$(x)`,
  '255 bytes': 'n'.repeat(255),
  '255 bytes of three-byte signs': '\u20ac'.repeat(85),
}

/** A name that the capabilities allow comes back byte by byte; one that they do not allow is refused at once. */
export function nameTests({ bench, testOf }: Ground): void {
  const roundTrip = (title: string, name: string, ...abilities: Ability[]) => {
    testOf(...abilities)(title, async () => {
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
  }

  describe('names', () => {
    for (const [title, name] of Object.entries(odd)) {
      if (typeof name === 'string') roundTrip(title, name)
      else roundTrip(title, ...name)
    }

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

  describe('keys of other clients that are no paths', () => {
    const keys = [
      ['an empty segment', 'empty//segment', 'empty-segments'],
      ['dots as segments', 'dots/../segment', 'dot-segments'],
      ['a slash at the end, with contents', 'slash/', 'slash-contents'],
    ] as const
    for (const [title, key, ability] of keys) {
      testOf('foreign-keys', ability)(`${title}: shown or told of, and the rest with it`, async () => {
        const { connector, plant } = bench()
        const folder = `foreign ${ability}`
        await connector.makeFolder(at(folder), {}, signal)
        await put(connector, at(folder, 'plain'), 'x')
        await plant?.(`${folder}/${key}`, 'contents')
        const seen = await everything(connector, at(folder))
        expect(seen.shown).toContain('plain')
        const found =
          seen.shown.some((path) => key.replace(/\/$/, '') === path) || seen.hidden.some((hidden) => key.startsWith(lastPart(hidden)))
        expect(found, JSON.stringify(seen)).toBe(true)
        expect(await refusal(connector.remove(at(folder), 'folder', any, signal))).toBe('not-empty')
      })
    }
  })
}

/** All paths below a folder, and what its listings hide. */
async function everything(connector: Connector, folder: RemotePlace): Promise<{ shown: string[]; hidden: string[] }> {
  const shown: string[] = []
  const hidden: string[] = []
  for await (const page of connector.list(folder, signal)) {
    hidden.push(...page.hidden)
    for (const entry of page.entries) {
      const path = entry.name.toString()
      shown.push(path)
      if (entry.type !== 'folder') continue
      const below = await everything(connector, { ...folder, path: [...folder.path, entry.name] })
      shown.push(...below.shown.map((rest) => `${path}/${rest}`))
      hidden.push(...below.hidden)
    }
  }
  return { shown, hidden }
}

/** What stands below the bench's own folder. */
function lastPart(hidden: string): string {
  return hidden.slice(hidden.indexOf('foreign ')).split('/').slice(1).join('/')
}
