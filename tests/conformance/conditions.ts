import { describe, expect, test } from 'vitest'
import { absent, any, at, contentsAt, put, refusal, signal } from './candidate.ts'
import type { Ground } from './connector-conformance.ts'

/** No update is lost: whoever writes on the wrong ground is told, and nothing has changed. */
export function conditionTests({ bench, testOf }: Ground): void {
  describe('conditions', () => {
    test('a new file does not replace one that is there', async () => {
      const { connector, other } = bench()
      await put(connector, at('new'), 'first')
      expect(await refusal(put(other, at('new'), 'second', absent))).toBe('conflict')
      expect(await contentsAt(connector, at('new'))).toBe('first')
    })

    test('a version replaces only the version that it stands on', async () => {
      const { connector, other } = bench()
      const first = await put(connector, at('based'), 'first')
      const second = await put(other, at('based'), 'second', { kind: 'rev', rev: first.rev })
      expect(await refusal(put(connector, at('based'), 'third', { kind: 'rev', rev: first.rev }))).toBe('conflict')
      expect(await contentsAt(connector, at('based'))).toBe('second')
      await put(connector, at('based'), 'fourth', { kind: 'rev', rev: second.rev })
      expect(await contentsAt(other, at('based'))).toBe('fourth')
    })

    test('a version of a file that is gone is a conflict', async () => {
      const { connector, other } = bench()
      const { rev } = await put(connector, at('gone'), 'first')
      await other.remove(at('gone'), 'file', any, signal)
      expect(await refusal(put(connector, at('gone'), 'second', { kind: 'rev', rev }))).toBe('conflict')
      expect(await connector.stat(at('gone'), 'any', signal)).toBeNull()
    })

    test('without a condition the last one wins', async () => {
      const { connector, other } = bench()
      await put(connector, at('unconditional'), 'a much longer first version', any)
      await put(other, at('unconditional'), 'second', any)
      expect(await contentsAt(connector, at('unconditional'))).toBe('second')
    })

    testOf('exclusive-creation')('of two that create one file, one wins', async () => {
      const { connector, other } = bench()
      for (let round = 0; round < 10; round++) {
        const place = at(`race-${round}`)
        const results = await Promise.allSettled([put(connector, place, 'mine'), put(other, place, 'theirs')])
        const winners = results.filter((result) => result.status === 'fulfilled')
        expect(winners.length, `round ${round}`).toBe(1)
        const loser = results.find((result) => result.status === 'rejected')
        expect(loser?.reason).toMatchObject({ kind: 'conflict' })
        expect(await contentsAt(connector, place)).toBe(results[0].status === 'fulfilled' ? 'mine' : 'theirs')
      }
    })

    testOf('server-conditions')('of two that replace one version, one wins', async () => {
      const { connector, other } = bench()
      for (let round = 0; round < 10; round++) {
        const place = at(`replace-race-${round}`)
        const { rev } = await put(connector, place, 'first')
        const results = await Promise.allSettled([
          put(connector, place, 'mine', { kind: 'rev', rev }),
          put(other, place, 'theirs', { kind: 'rev', rev }),
        ])
        expect(results.filter((result) => result.status === 'fulfilled').length, `round ${round}`).toBe(1)
      }
    })

    test('a file is removed only at the version that was meant', async () => {
      const { connector, other } = bench()
      const first = await put(connector, at('remove-if'), 'first')
      const second = await put(other, at('remove-if'), 'second', { kind: 'rev', rev: first.rev })
      expect(await refusal(connector.remove(at('remove-if'), 'file', { kind: 'rev', rev: first.rev }, signal))).toBe('conflict')
      expect(await contentsAt(connector, at('remove-if'))).toBe('second')
      await connector.remove(at('remove-if'), 'file', { kind: 'rev', rev: second.rev }, signal)
      await connector.remove(at('remove-if'), 'file', { kind: 'rev', rev: second.rev }, signal)
      expect(await connector.stat(at('remove-if'), 'any', signal)).toBeNull()
    })
  })
}
