import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CloudError } from '../errors.ts'
import { asAdopt, asAdopted, parseHello } from './adoption.ts'
import { messageLimit, PieceJoiner, toPieces } from './pieces.ts'
import { fromWireError, toWireError } from './wire-error.ts'

describe('pieces', () => {
  test('any message comes out as it went in', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const message = { value }
        const joiner = new PieceJoiner()
        const results = toPieces(message).map((piece) => joiner.take(piece))
        expect(results.at(-1)).toEqual(JSON.parse(JSON.stringify(message)))
      }),
    )
  })

  test('a long message is cut, and put together although the datagrams reuse their memory', () => {
    const message = { text: 'ü'.repeat(400_000) }
    const joiner = new PieceJoiner()
    const pieces = toPieces(message)
    expect(pieces.length).toBeGreaterThan(5)
    expect(Math.max(...pieces.map((piece) => piece.length))).toBeLessThan(192 * 1024)
    const memory = Buffer.alloc(192 * 1024)
    const results = pieces.map((piece) => joiner.take(memory.subarray(0, piece.copy(memory))))
    expect(results.slice(0, -1).every((result) => result === undefined)).toBe(true)
    expect(results.at(-1)).toEqual(message)
    expect(joiner.take(Buffer.from('{"next":1}'))).toEqual({ next: 1 })
  })

  test('what is too long, endless or not ours is refused', () => {
    expect(() => toPieces({ text: 'x'.repeat(messageLimit) })).toThrow(expect.objectContaining({ kind: 'too-large' }) as Error)
    const endless = Buffer.alloc(128 * 1024, '+')
    const joiner = new PieceJoiner()
    expect(() => {
      for (let i = 0; i < 100; i++) joiner.take(endless)
    }).toThrow(expect.objectContaining({ kind: 'garbage' }) as Error)
    for (const bytes of ['', 'x', '{"a":', '.{']) expect(() => new PieceJoiner().take(Buffer.from(bytes))).toThrow(CloudError)
  })
})

describe('the frozen messages', () => {
  test('are told from frames, and fields of later versions are overlooked', () => {
    expect(asAdopt({ kind: 'request', mountId: 'm' })).toBeUndefined()
    expect(asAdopted({ kind: 'result' })).toBeUndefined()
    const hello = parseHello({ pid: 7, mood: 'fine', mounts: [{ mountId: 'm', state: 'HELD_STATE_DREAMING' }] })
    expect([hello.pid, hello.mounts[0]?.state]).toEqual([7, 'HELD_STATE_FAILED'])
  })

  test.each([null, 1, [], { mounts: 1 }, { pid: -1 }, { pid: '1' }, { mounts: [null] }])('%j is garbage', (message) => {
    expect(() => parseHello(message)).toThrow(expect.objectContaining({ kind: 'garbage' }) as Error)
  })
})

test('an error travels with what it says, and without what caused it', () => {
  const error = new CloudError('busy', 'in use', { code: 'MOUNT_BUSY', hint: 'wait', cause: new Error('secret') })
  const wire = toWireError(error)
  expect(JSON.stringify(wire)).not.toContain('secret')
  expect(fromWireError(wire)).toMatchObject({ kind: 'busy', message: 'in use', code: 'MOUNT_BUSY', hint: 'wait' })
  expect(fromWireError(toWireError(new Error('x')))).toMatchObject({ kind: 'internal', code: undefined })
})
