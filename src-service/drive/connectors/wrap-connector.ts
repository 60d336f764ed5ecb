/** What all wrappers share: a connector that does the same as another one, with something around each call. */
import type { Connector, ListPage } from './connector.ts'

export type Operation =
  | 'check'
  | 'list'
  | 'stat'
  | 'read'
  | 'write'
  | 'makeFolder'
  | 'remove'
  | 'move'
  | 'copy'
  | 'setAttributes'
  | 'abandon'
  | 'sweep'
  | 'usage'
  | 'measure'

/** Changes nothing, so that it may be repeated and may be left behind. */
export function isReading(operation: Operation): boolean {
  switch (operation) {
    case 'check':
    case 'list':
    case 'stat':
    case 'read':
    case 'usage':
      return true
    default:
      return false
  }
}

/** Runs one call, or one page of a listing; the signal that `run` gets is what the connector below sees. */
export type Call = <T>(operation: Operation, signal: AbortSignal, run: (signal: AbortSignal) => Promise<T>) => Promise<T>

/** The parts a wrapper must write itself, because they stream. */
export type Streams = Pick<Connector, 'list' | 'read' | 'write'>

/** `inner` with `call` around its single calls and `streams` in place of its own. Optional abilities stay absent where absent. */
export function wrapConnector(inner: Connector, call: Call, streams: Streams): Connector {
  const move = inner.move?.bind(inner)
  const copy = inner.copy?.bind(inner)
  const setAttributes = inner.setAttributes?.bind(inner)
  const abandon = inner.abandon?.bind(inner)
  const sweep = inner.sweep?.bind(inner)
  const measure = inner.measure?.bind(inner)
  return {
    get type() {
      return inner.type
    },
    get capabilities() {
      return inner.capabilities
    },
    get sheet() {
      return inner.sheet ?? []
    },
    ...streams,
    check: (signal) => call('check', signal, (s) => inner.check(s)),
    stat: (place, type, signal) => call('stat', signal, (s) => inner.stat(place, type, s)),
    makeFolder: (place, posix, signal) => call('makeFolder', signal, (s) => inner.makeFolder(place, posix, s)),
    remove: (place, type, precondition, signal) => call('remove', signal, (s) => inner.remove(place, type, precondition, s)),
    usage: (signal) => call('usage', signal, (s) => inner.usage(s)),
    close: () => inner.close(),
    ...(move && {
      move: (from, to, type, precondition, replace, signal) => call('move', signal, (s) => move(from, to, type, precondition, replace, s)),
    }),
    ...(copy && {
      copy: (from, to, rev, posix, target, signal) => call('copy', signal, (s) => copy(from, to, rev, posix, target, s)),
    }),
    ...(setAttributes && {
      setAttributes: (place, type, posix, precondition, signal) =>
        call('setAttributes', signal, (s) => setAttributes(place, type, posix, precondition, s)),
    }),
    ...(abandon && { abandon: (handle, signal) => call('abandon', signal, (s) => abandon(handle, s)) }),
    ...(sweep && { sweep: (known, idleSince, signal) => call('sweep', signal, (s) => sweep(known, idleSince, s)) }),
    ...(measure && { measure: (write, signal) => call('measure', signal, (s) => measure(write, s)) }),
  } satisfies Connector
}

/**
 * A listing whose iterator may be asked again after a page failed: `next()` then fetches the same page once more.
 * An ordinary generator must not be asked again: it would answer `done`, and a broken listing would look complete.
 */
export interface PageIterator extends AsyncIterableIterator<ListPage> {
  readonly repeatable?: true
}

/** The same listing with `step` around each page. */
export function aroundPages(
  pages: AsyncIterable<ListPage>,
  step: (next: () => Promise<IteratorResult<ListPage>>) => Promise<IteratorResult<ListPage>>,
): PageIterator {
  const inner: AsyncIterator<ListPage> & { readonly repeatable?: true } = pages[Symbol.asyncIterator]()
  const outer: PageIterator = {
    ...(inner.repeatable && { repeatable: true }),
    next: () => step(() => inner.next()),
    return: async () => (await inner.return?.()) ?? { done: true, value: undefined },
    [Symbol.asyncIterator]: () => outer,
  }
  return outer
}
