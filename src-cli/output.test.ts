import { describe, expect, it } from 'vitest'
import { facts, safe, table } from './output.ts'

describe('table', () => {
  const columns = [
    { title: 'NAME', value: (row: { readonly name: string; readonly size: string }) => row.name },
    { title: 'SIZE', value: (row: { readonly name: string; readonly size: string }) => row.size, align: 'right' as const },
  ]

  it('aligns columns and leaves no trailing spaces', () => {
    expect(
      table(columns, [
        { name: 'a', size: '1 B' },
        { name: 'longer', size: '12 KiB' },
      ]),
    ).toBe(['NAME      SIZE', 'a          1 B', 'longer  12 KiB'].join('\n'))
  })

  it('counts wide characters as two columns and combining marks as none', () => {
    const lines = table(columns, [
      { name: '文書', size: '1 B' },
      { name: 'e\u0323', size: '2 B' },
    ]).split('\n')
    expect(lines.slice(1)).toEqual(['文書   1 B', '\u1eb9      2 B'.normalize('NFC').replace('\u1eb9', 'e\u0323')])
  })
})

describe('safe', () => {
  it('shows terminal escapes and reordering instead of obeying them', () => {
    expect(safe('a\u001b[31mred\nb\u202egpj')).toBe('a\\x1b[31mred\\x0ab\\u202egpj')
  })

  it('leaves ordinary names alone', () => {
    expect(safe('Ärger & 文書 (1).txt')).toBe('Ärger & 文書 (1).txt')
  })
})

describe('facts', () => {
  it('aligns values and leaves out what is undefined', () => {
    expect(
      facts([
        ['Name', 'x'],
        ['Process', undefined],
        ['Started', 'now'],
      ]),
    ).toBe('Name:    x\nStarted: now')
  })
})
