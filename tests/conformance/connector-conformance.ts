/** The promises of `connector.ts`, held to every connector. A connector's own test names it and what it lacks. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { abilitiesOf, isServerAbility } from './candidate.ts'
import type { Ability, Bench, Candidate } from './candidate.ts'
import { attributeTests } from './attributes.ts'
import { conditionTests } from './conditions.ts'
import { contentsTests } from './contents.ts'
import { folderTests } from './folders.ts'
import { moveTests } from './moves.ts'
import { nameTests } from './names.ts'
import { uploadTests } from './uploads.ts'

/** What a group of tests works with; each test makes a folder of its own below the root. */
export interface Ground {
  /** Valid inside tests. */
  readonly bench: () => Bench
  /** Declared by the candidate, and therefore to be shown; tests for what it lacks are for the refusal. */
  readonly has: (ability: Ability) => boolean
  readonly sheet: NonNullable<Candidate['sheet']>
  /** A test that stands on abilities. Where one of them is lacking, its test is that the lack is real. */
  readonly testOf: (...abilities: Ability[]) => (name: string, run: () => Promise<void>) => void
}

/** Every check has a name below this; the table of results is made of it. */
function columnName({ provider, server }: Pick<Candidate, 'provider' | 'server'>): string {
  return `conformance: ${provider} × ${server}`
}

/** A server that cannot be had here, with the reason. */
export function skippedConformance(candidate: Pick<Candidate, 'provider' | 'server'>, reason: string): void {
  describe(columnName(candidate), () => {
    test('all checks', (context) => {
      context.skip(reason)
    })
  })
}

export function connectorConformance(candidate: Candidate): void {
  describe(columnName(candidate), () => {
    let opened: Bench | null = null
    beforeAll(async () => {
      opened = await candidate.open()
    })
    afterAll(async () => {
      await opened?.close()
    })
    const ground: Ground = {
      bench: () => {
        if (!opened) throw new Error('the bench did not open')
        return opened
      },
      sheet: candidate.sheet ?? {},
      has: (ability) => !candidate.lacks.includes(ability),
      testOf: (...abilities) => {
        const lack = abilities.find((ability) => candidate.lacks.includes(ability))
        const reason = abilities.map((ability) => candidate.luck?.[ability]).find((found) => found !== undefined)
        if (reason !== undefined) return (name) => test(name, (context) => context.skip(reason))
        return lack === undefined ? test : (name, run) => testLack(ground, lack, name, run)
      },
    }

    test('its capabilities say what the candidate declares', () => {
      const has = abilitiesOf(ground.bench().connector.capabilities)
      expect(candidate.lacks.filter((ability) => has.has(ability))).toEqual([])
      const { connector } = ground.bench()
      expect(connector.move !== undefined).toBe(ground.has('move'))
      expect(connector.copy !== undefined).toBe(ground.has('copy'))
      expect(connector.setAttributes !== undefined).toBe(ground.has('set-attributes'))
      expect(connector.abandon !== undefined).toBe(ground.has('resumable'))
      expect(ground.bench().plant !== undefined).toBe(ground.has('foreign-keys'))
    })

    contentsTests(ground)
    folderTests(ground)
    conditionTests(ground)
    nameTests(ground)
    moveTests(ground)
    attributeTests(ground)
    uploadTests(ground)
  })
}

/** What a connector lacks it must not declare; what a server lacks it must not do. */
function testLack({ bench }: Ground, lack: Ability, name: string, run: () => Promise<void>): void {
  test(`${name} [lack: ${lack}]`, async () => {
    if (isServerAbility(lack)) await expect(run(), `${lack} is pinned as a lack, but it is there`).rejects.toThrow()
    else expect(abilitiesOf(bench().connector.capabilities)).not.toContain(lack)
  })
}
