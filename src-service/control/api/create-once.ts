import { toJson } from '@bufbuild/protobuf'
import type { DescMessage, JsonValue, MessageShape } from '@bufbuild/protobuf'
import { createHash } from 'node:crypto'
import { CloudError } from '../../common/errors.ts'
import type { RequestKey } from '../store/records.ts'
import type { RequestTable } from '../store/store.ts'

/** Makes a creation with a request id happen once. */
export interface CreateOnce {
  /**
   * @param request without its secrets and its request id: what must be the same at a repetition
   * @param make saves under the key and gives the id of what it made
   * @returns the id, of the first time if the request is a repetition
   */
  run<Desc extends DescMessage>(
    method: string,
    requestId: string,
    schema: Desc,
    request: MessageShape<Desc>,
    make: (key: RequestKey | null) => Promise<string>,
  ): Promise<string>
}

export function createOnce(requests: RequestTable): CreateOnce {
  /** Repetitions that come while the first is at work wait for it. */
  const running = new Map<string, Promise<void>>()

  async function firstOrFound(key: RequestKey, make: (key: RequestKey) => Promise<string>): Promise<string> {
    return (await requests.find(key)) ?? make(key)
  }

  return {
    run: async (method, requestId, schema, request, make) => {
      if (requestId === '') return make(null)
      if (requestId.length > 64) throw new CloudError('invalid', 'request_id is longer than 64 characters')
      const key = { method, requestId, digest: digestOf(toJson(schema, request)) }
      const place = `${method} ${requestId}`
      while (running.has(place)) await running.get(place)
      const work = firstOrFound(key, make)
      const done = work.then(
        () => {},
        () => {},
      )
      running.set(place, done)
      try {
        return await work
      } finally {
        running.delete(place)
      }
    },
  }
}

/** Equal for equal requests, whatever the order of their fields. */
function digestOf(value: JsonValue): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted(value)))
    .digest('hex')
}

function sorted(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1))
  return Object.fromEntries(entries.map(([name, inner]) => [name, sorted(inner)]))
}
