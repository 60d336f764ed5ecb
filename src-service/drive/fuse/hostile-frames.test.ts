import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { memoryContents } from '../../../tests/fuse/contents.ts'
import { FakeDoor } from '../../../tests/fuse/fake-door.ts'
import { fakeSession } from '../../../tests/fuse/fake-session.ts'
import { expectsAnswer, hostileFrame, withUnique } from '../../../tests/fuse/hostile-frames.ts'
import { slowly } from '../../../tests/fuse/slow-filesystem.ts'
import { TestFilesystem } from '../../../tests/fuse/test-filesystem.ts'

const corpus = join(import.meta.dirname, '../../../tests/fuse/corpus')
const root = { uid: 0, gid: 0, pid: 0 }

function tree(): TestFilesystem {
  const fs = new TestFilesystem(memoryContents(2 ** 20))
  fs.create(root, 1, Buffer.from('a'), 0o644, { flags: 2, killPrivileges: false })()
  fs.mkdir(root, 1, Buffer.from('folder'), 0o755)()
  fs.symlink(root, 1, Buffer.from('b'), Buffer.from('a'))()
  return fs
}

/** Serves the frames and checks the one rule: an answer for each that waits for one, none for the others, nothing thrown. */
async function serve(frames: readonly Buffer[], slow: boolean): Promise<void> {
  const door = new FakeDoor()
  const { session, logged } = fakeSession({ door, filesystem: slow ? slowly(tree(), () => 0) : tree() })
  await session.ready
  const expected: number[] = []
  for (const [i, frame] of frames.entries()) {
    const unique = 1000 + i
    const bytes = withUnique(frame, unique)
    if (expectsAnswer(bytes)) expected.push(unique)
    door.deliver(bytes)
    while (door.leftovers().length > 60) await new Promise((resolve) => setTimeout(resolve, 1))
  }
  while (door.leftovers().length > 0) await new Promise((resolve) => setTimeout(resolve, 1))
  session.stop()
  expect(door.answers.map((answer) => answer.unique).sort((a, b) => a - b)).toEqual(expected)
  expect(door.misuses).toBe(0)
  expect(door.answers.every((answer) => answer.errno >= 0 && answer.errno < 512)).toBe(true)
  // A frame may make the file system run out of memory for a file, but nothing may be a bug of ours.
  expect(logged).toEqual([])
}

test.each(readdirSync(corpus))('corpus: %s', async (file) => {
  const frame = Buffer.from(readFileSync(join(corpus, file), 'latin1').replace(/#.*|\s/g, ''), 'hex')
  await serve([frame], false)
  await serve([frame, frame], true)
})

test('20,000 hostile frames: one answer each, none where none is due', { timeout: 60_000 }, async () => {
  let count = 0
  const frames = fc.array(hostileFrame, { minLength: 50, maxLength: 80, size: 'max' })
  await fc.assert(
    fc.asyncProperty(frames, async (list) => {
      count += list.length
      await serve(list, false)
    }),
    { numRuns: 340 },
  )
  await fc.assert(
    fc.asyncProperty(frames, async (list) => {
      count += list.length
      await serve(list, true)
    }),
    { numRuns: 60 },
  )
  expect(count).toBeGreaterThanOrEqual(20_000)
})
