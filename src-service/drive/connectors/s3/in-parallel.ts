/**
 * Runs `run` for each item, `workers` at a time. After a failure the others are aborted and waited for: nothing may still be
 * on its way when the caller decides what comes next.
 */
export async function inParallel<T>(
  items: readonly T[],
  workers: number,
  signal: AbortSignal,
  run: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const queue = items.values()
  const stop = new AbortController()
  const both = AbortSignal.any([signal, stop.signal])
  const worker = async () => {
    for (const item of queue) await run(item, both)
  }
  const running = Array.from({ length: Math.min(workers, items.length) }, worker)
  try {
    await Promise.all(running)
  } catch (caught) {
    stop.abort(caught)
    await Promise.allSettled(running)
    throw caught
  }
}
