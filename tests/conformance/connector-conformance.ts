/** The promises of `connector.ts`, held to every connector. A connector's own test names it and what it lacks. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { abilitiesOf } from './candidate.ts'
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
}

export function connectorConformance(candidate: Candidate): void {
  describe(`${candidate.name} keeps the connector contract`, () => {
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
      has: (ability) => !candidate.lacks.includes(ability),
    }

    test('its capabilities say what the candidate declares', () => {
      const has = abilitiesOf(ground.bench().connector.capabilities)
      expect(candidate.lacks.filter((ability) => has.has(ability))).toEqual([])
      const { connector } = ground.bench()
      expect(connector.move !== undefined).toBe(ground.has('move'))
      expect(connector.copy !== undefined).toBe(ground.has('copy'))
      expect(connector.setAttributes !== undefined).toBe(ground.has('set-attributes'))
      expect(connector.abandon !== undefined).toBe(ground.has('resumable'))
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
