/**
 * Repeats what may safely be repeated. Reading changes nothing, so it is tried a few times. A change is tried again only
 * if it was surely not done; where its outcome is unknown the error goes up and the drive's queue looks before it repeats.
 */
import { CloudError } from '../../common/errors.ts'
import type { Connector, UploadHandle } from './connector.ts'
import { aroundPages, isReading, wrapConnector } from './wrap-connector.ts'

export interface RetryPolicy {
  /** Tries in all. */
  readonly tries: number
  /** Milliseconds: full jitter between 0 and base · 2^n, never above `cap`. */
  readonly base: number
  readonly cap: number
  /** A provider that asks for a longer pause gets it from the drive, not from a call that somebody waits for. Milliseconds. */
  readonly longestWait: number
  readonly random: () => number
}

export const defaultRetry: RetryPolicy = { tries: 4, base: 300, cap: 30_000, longestWait: 10_000, random: Math.random }

export function withRetry(inner: Connector, policy: RetryPolicy = defaultRetry): Connector {
  return wrapConnector(
    inner,
    (operation, signal, run) => repeat(policy, signal, () => run(signal), isReading(operation) ? mayPass : surelyNotDone),
    {
      async *list(folder, signal) {
        let begun = false
        let pages = aroundPages(inner.list(folder, signal), (next) => next())
        for (;;) {
          const step = await repeat(
            policy,
            signal,
            () => pages.next(),
            (error) => {
              if (!mayPass(error) || (begun && !pages.repeatable)) return false
              if (!pages.repeatable) pages = aroundPages(inner.list(folder, signal), (next) => next())
              return true
            },
          )
          if (step.done) return
          begun = true
          yield step.value
        }
      },
      async *read(place, start, end, rev, signal) {
        let position = start
        let failures = 0
        while (position < end) {
          try {
            for await (const chunk of inner.read(place, position, end, rev, signal)) {
              position += chunk.byteLength
              failures = 0
              yield chunk
            }
            if (position < end) throw new CloudError('garbage', `read ended ${end - position} bytes early`)
          } catch (caught) {
            const error = CloudError.from(caught)
            failures++
            if (!mayPass(error) || failures >= policy.tries) throw error
            await pause(policy, failures, error, signal)
          }
        }
      },
      async write(place, type, source, options, signal) {
        let resume: UploadHandle | null = options.resume
        const saveHandle = async (handle: UploadHandle) => {
          await options.saveHandle(handle)
          resume = handle
        }
        const once = () => inner.write(place, type, source, { ...options, resume, saveHandle }, signal)
        return await repeat(policy, signal, once, surelyNotDone)
      },
    },
  )
}

async function repeat<T>(
  policy: RetryPolicy,
  signal: AbortSignal,
  run: () => Promise<T>,
  again: (error: CloudError) => boolean,
): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await run()
    } catch (caught) {
      const error = CloudError.from(caught)
      if (failures >= policy.tries || !again(error)) throw error
      await pause(policy, failures, error, signal)
    }
  }
}

function mayPass(error: CloudError): boolean {
  switch (error.kind) {
    case 'offline':
    case 'timeout':
    case 'throttled':
    case 'unavailable':
    case 'garbage':
      return true
    default:
      return false
  }
}

/** The connection was never made: nothing can have been sent. */
const neverSent: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENETUNREACH',
  'ENETDOWN',
  'EHOSTUNREACH',
  'CONNECT_TIMEOUT',
])

/** True if nothing of a change can have been done that ended with this error. */
export function surelyNotDone(error: CloudError): boolean {
  return error.kind === 'throttled' || (error.code !== undefined && neverSent.has(error.code))
}

/** Waits before the next try; throws the error itself if the wait would be too long, or the signal's reason. */
async function pause(policy: RetryPolicy, failures: number, error: CloudError, signal: AbortSignal): Promise<void> {
  if (signal.aborted) throw CloudError.from(signal.reason)
  const wait = error.retryAfterMs ?? policy.random() * Math.min(policy.cap, policy.base * 2 ** (failures - 1))
  if (wait > policy.longestWait) throw error
  await new Promise<void>((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer)
      reject(CloudError.from(signal.reason))
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    }, wait)
    signal.addEventListener('abort', onAbort, { once: true })
  })
}
