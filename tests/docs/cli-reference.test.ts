import { expect, it } from 'vitest'
import { cliReference } from './cli-reference.ts'

it('docs/cli.md is what the commands say', async () => {
  await expect(cliReference()).toMatchFileSnapshot('../../docs/cli.md')
})
