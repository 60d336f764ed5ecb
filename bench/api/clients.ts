/** Clients of the service as others would write them: over gRPC, and over plain HTTP. */
import { createClient } from '@connectrpc/connect'
import { createGrpcTransport } from '@connectrpc/connect-node'
import { Agent, request } from 'node:http'
import { createInterface } from 'node:readline'
import { EventService } from '../../proto/gen/cloudmoor/v1/event_pb.js'
import { MountService } from '../../proto/gen/cloudmoor/v1/mount_pb.js'
import { SessionService } from '../../proto/gen/cloudmoor/v1/session_pb.js'
import { SystemService } from '../../proto/gen/cloudmoor/v1/system_pb.js'
import { TransferService } from '../../proto/gen/cloudmoor/v1/transfer_pb.js'

export interface Target {
  /** `http://127.0.0.1:7434`. */
  readonly url: string
  /** Of an admin. */
  readonly token: string
  /** The mount that is asked about, and whose labels are changed. */
  readonly mountId: string
}

/** What a stream tells of: that it begins (anew), or what labels the mount has now. */
export type Seen = { readonly kind: 'snapshot'; readonly reset: boolean } | { readonly kind: 'labels'; readonly labels: readonly string[] }

export interface ApiClient {
  /** Reads, one after the other in turn. */
  readonly reads: readonly (() => Promise<unknown>)[]
  /** A change, of which every stream hears. */
  relabel(label: string): Promise<unknown>
  /** Rejects if the stream ends before `signal` is aborted. */
  watch(signal: AbortSignal, onSeen: (seen: Seen) => void): Promise<void>
  close(): void
}

export function grpcClient({ url, token, mountId }: Target): ApiClient {
  const transport = createGrpcTransport({
    baseUrl: url,
    defaultTimeoutMs: 30_000,
    interceptors: [
      (next) => (call) => {
        call.header.set('authorization', `Bearer ${token}`)
        return next(call)
      },
    ],
  })
  const mounts = createClient(MountService, transport)
  const system = createClient(SystemService, transport)
  const transfers = createClient(TransferService, transport)
  const sessions = createClient(SessionService, transport)
  const events = createClient(EventService, transport)
  return {
    reads: [
      () => mounts.listMounts({}),
      () => mounts.getMount({ id: mountId }),
      () => system.getStatus({}),
      () => transfers.listTransfers({}),
      () => sessions.whoAmI({}),
    ],
    relabel: (label) => mounts.updateMount({ mount: { id: mountId, labels: [label] }, updateMask: { paths: ['labels'] } }),
    watch: async (signal, onSeen) => {
      try {
        for await (const { content } of events.watch({}, { signal, timeoutMs: 0 })) {
          if (content.case === 'snapshot') onSeen({ kind: 'snapshot', reset: content.value.reset })
          else if (content.case === 'event' && content.value.what.case === 'mount')
            onSeen({ kind: 'labels', labels: content.value.what.value.labels })
        }
      } catch (caught) {
        if (!signal.aborted) throw caught
      }
      if (!signal.aborted) throw new Error('a stream ended')
    },
    close: () => {},
  }
}

interface WatchLine {
  readonly snapshot?: { readonly reset: boolean }
  readonly event?: { readonly mount?: { readonly labels: readonly string[] } }
  readonly error?: object
}

export function restClient({ url, token, mountId }: Target): ApiClient {
  const agent = new Agent({ keepAlive: true, maxSockets: 4 })
  const authorization = `Bearer ${token}`
  const call = (method: string, path: string, body?: object): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const headers = { authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }) }
      const asked = request(`${url}/api/v1${path}`, { method, agent, headers, timeout: 30_000 }, (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('error', reject)
        answer.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          if (answer.statusCode === 200) resolve(JSON.parse(text))
          else reject(new Error(`${method} ${path}: ${answer.statusCode ?? 0} ${text}`))
        })
      })
      asked.on('timeout', () => asked.destroy(new Error(`${method} ${path}: no answer`)))
      asked.on('error', reject).end(body === undefined ? '' : JSON.stringify(body))
    })
  return {
    reads: [
      () => call('GET', '/mounts'),
      () => call('GET', `/mounts/${mountId}`),
      () => call('GET', '/system/status'),
      () => call('GET', '/transfers'),
      () => call('GET', '/whoami'),
    ],
    relabel: (label) => call('PATCH', `/mounts/${mountId}`, { labels: [label] }),
    watch: (signal, onSeen) =>
      new Promise((resolve, reject) => {
        const end = (why: Error) => (signal.aborted ? resolve() : reject(why))
        const asked = request(`${url}/api/v1/events:watch`, { agent: false, headers: { authorization }, signal }, (answer) => {
          if (answer.statusCode !== 200) end(new Error(`a stream was refused: ${answer.statusCode ?? 0}`))
          answer.on('error', end)
          const lines = createInterface(answer)
          lines.on('error', end)
          lines.on('line', (line) => {
            const { snapshot, event, error } = JSON.parse(line) as WatchLine
            if (error !== undefined) end(new Error(`a stream ended: ${line}`))
            if (snapshot !== undefined) onSeen({ kind: 'snapshot', reset: snapshot.reset })
            if (event?.mount !== undefined) onSeen({ kind: 'labels', labels: event.mount.labels })
          })
          lines.on('close', () => end(new Error('a stream ended')))
        })
        asked.on('error', end).end()
      }),
    close: () => agent.destroy(),
  }
}
