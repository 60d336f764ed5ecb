import { Worker } from 'node:worker_threads'
import { expect, it } from 'vitest'

/** Short texts that make a parser work, each in a thread with 100 MB: refused within a second, whatever is in them. */

interface Outcome {
  readonly said: string
  readonly milliseconds: number
}

const program = new URL('../../../tests/support/read-bomb.ts', import.meta.url)
const resourceLimits = { maxOldGenerationSizeMb: 80, maxYoungGenerationSizeMb: 20 }

function readIn100MB(text: string, bare = false): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const thread = new Worker(program, { workerData: { text, bare }, resourceLimits })
    thread.once('message', (outcome: Outcome) => resolve(outcome))
    thread.once('error', reject)
  })
}

const longest = 1024 * 1024
const many = (part: (index: number) => string, count: number) => Array.from({ length: count }, (_, index) => part(index)).join('')
const laughs = many((index) => `${'bcdefghi'[index]}: &${'bcdefghi'[index]} [${Array(9).fill(`*${'abcdefgh'[index]}`).join(',')}]\n`, 8)
/** Just below what is refused unread. */
const enough = 39_900

const bombs: Readonly<Record<string, string>> = {
  'aliases of aliases': `version: 1\na: &a [x,x,x,x,x,x,x,x,x]\n${laughs}`,
  'open brackets': `version: 1\nproviders: ${'['.repeat(longest / 2)}`,
  'closed brackets': `version: 1\nproviders: ${'['.repeat(99)}${']'.repeat(99)}`,
  'JSON in JSON': `{"version":1,"mounts":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`,
  'lists in lists': `version: 1\nproviders:\n  ${'- '.repeat(5_000)}x`,
  'keys of keys': `version: 1\n${'? '.repeat(5_000)}x`,
  'deeper line by line': `version: 1\nproviders:\n${many((index) => `${' '.repeat(index + 1)}a:\n`, 1_400)}`.slice(0, longest),
  'a wide list': `version: 1\nproviders: [${'a,'.repeat(longest / 3)}]`,
  'a wide list, just not too wide': `version: 1\nproviders: [${'a,'.repeat(enough)}]`,
  'a wide map': `version: 1\nsettings:\n${many((index) => ` k${index}: 1\n`, 90_000)}`,
  'a wide map, just not too wide': `version: 1\nsettings:\n${many((index) => ` k${index}: 1\n`, enough / 2)}`,
  anchors: `version: 1\nproviders:\n${many((index) => `- &a${index} x\n`, enough / 2)}`,
  'a fault in each line': `version: 1\n${'@\n'.repeat(longest / 3)}`,
  'a fault in each line, just not too many': `version: 1\n${'@\n'.repeat(enough)}`,
  'tabs, just not too many': `version: 1\n${'\t:\n'.repeat(enough / 3)}`,
  escapes: `version: 1\nx: "${'\\u0041'.repeat(170_000)}"`,
  'a long number': `version: ${'9'.repeat(longest - 20)}`,
  'too long': 'x'.repeat(5_000_000),
}

it.each(Object.entries(bombs))('%s', async (_, text) => {
  const { said, milliseconds } = await readIn100MB(text)
  expect(['invalid', 'too-large']).toContain(said)
  expect(milliseconds).toBeLessThan(1000)
})

it('what is large and right is taken', async () => {
  const mounts = many(
    (index) => `- { name: m${index}, provider: disk, path: /mnt/${index}, remote: a, access: all, uid: 1, gid: 1 }\n`,
    1_000,
  )
  const text = `version: 1\nproviders:\n- { name: disk, type: local, options: { path: /srv } }\nmounts:\n${mounts}`
  expect((await readIn100MB(text)).said).toBe('taken')
})

it('the bare parser needs more than that', async () => {
  await expect(readIn100MB(bombs['a fault in each line'] ?? '', true)).rejects.toMatchObject({ code: 'ERR_WORKER_OUT_OF_MEMORY' })
})
