import type { clouds, Step } from './sync-history.ts'

interface PinnedHistory {
  /** What went wrong. */
  readonly why: string
  readonly kind: keyof typeof clouds
  readonly realContents: boolean
  /** Files that are there at first. */
  readonly first: readonly string[]
  readonly steps: readonly Step[]
}

/** Histories that random tests found, as their failures print them. */
export const pinned: readonly PinnedHistory[] = [
  {
    why: 'two folders were made at one place, and both names waited for ever',
    kind: 'no moves, no copies, no times',
    realContents: true,
    first: ['d/s/b', 'a', 'd/b'],
    // seed -1298376049, path 89
    steps: [
      { kind: 'chmod', path: 'e' },
      { kind: 'write', path: 'e/b' },
      { kind: 'refresh-behind', path: 'd/s' },
      { kind: 'refresh-behind', path: 'd/s' },
      { kind: 'rename', path: 'b', to: 's' },
      { kind: 'their-drop', path: 'e' },
      { kind: 'read', path: 'a' },
      { kind: 'rename', path: 'e', to: 'd/s/a' },
      { kind: 'remove', path: 'a' },
      { kind: 'read', path: 'd/s/b' },
      { kind: 'their-put', path: 'a' },
      { kind: 'pause' },
      { kind: 'rename', path: 'd/a', to: 'b' },
      { kind: 'refresh-behind', path: 'd/s' },
      { kind: 'resume' },
      { kind: 'exchange', path: 'e', to: 'd/s' },
      { kind: 'run', turns: 1 },
      { kind: 'write', path: 'd/a' },
      { kind: 'write', path: 'd/s/b' },
      { kind: 'write', path: 'd/s/b' },
      { kind: 'remove', path: 'd/s/b' },
      { kind: 'their-put', path: 's' },
      { kind: 'run', turns: 48 },
      { kind: 'mkdir', path: 'e' },
      { kind: 'their-drop', path: 'b' },
      { kind: 'exchange', path: 'b', to: 's' },
      { kind: 'write', path: 'd/s/b' },
      { kind: 'write', path: 'd/s/b' },
      { kind: 'their-rename', path: 'b', to: 'd/s/b' },
      { kind: 'chmod', path: 'b' },
      { kind: 'exchange', path: 'd', to: 'd/s' },
      { kind: 'remove', path: 'e/a' },
      { kind: 'their-put', path: 'a' },
      { kind: 'write', path: 'e' },
      { kind: 'exchange', path: 'd/s', to: 'e' },
      { kind: 'exchange', path: 'e/b', to: 'd/b' },
      { kind: 'chmod', path: 'd/s/b' },
      { kind: 'run', turns: 8 },
      { kind: 'run', turns: 75 },
      { kind: 'write', path: 'e/a' },
      { kind: 'their-rename', path: 'd/s/a', to: 'd/s/a' },
      { kind: 'write', path: 'd' },
      { kind: 'write', path: 'd/a' },
      { kind: 'lose', done: true, calls: 2 },
      { kind: 'run', turns: 3 },
      { kind: 'rename', path: 'e/a', to: 'e' },
    ],
  },
]
