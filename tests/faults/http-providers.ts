/** The providers that speak HTTP, with what the chaos proxy has to know of their requests and refusals. */
import { findApache, startApache } from '../servers/apache.ts'
import { findMinio } from '../servers/minio.ts'
import type { Fate, Seen } from '../support/chaos-proxy.ts'
import { minioCloud } from '../support/clouds.ts'

/** What a request is for. `copy`: on the server; `part` and `commit`: of an upload in parts. */
export type Purpose = 'list' | 'read' | 'put' | 'copy' | 'part' | 'commit' | 'other'

/** Values of an account, as a drive takes them. */
export interface HttpAccount {
  readonly type: string
  readonly options: Readonly<Record<string, string | number | boolean>>
  readonly secrets: Readonly<Record<string, string>>
}

export interface HttpServer extends AsyncDisposable {
  /** `http://host:port` */
  readonly endpoint: string
  /** The account at this address, which may be a proxy's. */
  readonly account: (endpoint: string) => HttpAccount
}

export interface HttpProvider {
  readonly name: string
  /** Why it cannot be tested here. */
  readonly missing: string | null
  readonly start: () => Promise<HttpServer>
  readonly purposeOf: (seen: Seen) => Purpose
  /** It has uploads in parts, of 5 MiB each. */
  readonly parts: boolean
  readonly refusals: {
    readonly busy: Fate & { readonly kind: 'answer' }
    readonly expired: Fate
    /** What it says when the clocks differ too much; null if it does not mind. */
    readonly skewed: Fate | null
  }
}

const found = await findMinio()

function s3Purpose({ method, url, headers }: Seen): Purpose {
  if (method === 'GET') return url.includes('list-type=2') ? 'list' : url.includes('?') ? 'other' : 'read'
  if (method === 'POST') return url.includes('uploadId=') ? 'commit' : 'other'
  if (method === 'PUT' && headers['x-amz-copy-source'] !== undefined) return 'copy'
  if (method === 'PUT') return url.includes('partNumber=') ? 'part' : 'put'
  return 'other'
}

function s3Refusal(status: number, code: string): Fate & { readonly kind: 'answer' } {
  return { kind: 'answer', status, body: `<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>` }
}

const s3: HttpProvider = {
  name: 's3 on MinIO',
  missing: 'missing' in found ? found.missing : null,
  parts: true,
  start: async () => {
    const cloud = await minioCloud()
    if ('missing' in cloud) throw new Error(cloud.missing)
    const { type, set, secrets } = cloud.account
    return {
      endpoint: String(set['endpoint']),
      account: (endpoint) => ({ type, options: { ...set, endpoint, partSize: 5 }, secrets }),
      [Symbol.asyncDispose]: () => cloud[Symbol.asyncDispose](),
    }
  },
  purposeOf: s3Purpose,
  refusals: {
    busy: s3Refusal(503, 'SlowDown'),
    expired: s3Refusal(400, 'ExpiredToken'),
    skewed: s3Refusal(403, 'RequestTimeTooSkewed'),
  },
}

const apache = await findApache()

const webdav: HttpProvider = {
  name: 'webdav on Apache',
  missing: 'missing' in apache ? apache.missing : null,
  parts: false,
  start: async () => {
    if ('missing' in apache) throw new Error(apache.missing)
    const server = await startApache(apache)
    const { origin, pathname } = new URL(server.basic)
    return {
      endpoint: origin,
      account: (endpoint) => ({
        type: 'webdav',
        options: { preset: 'generic', url: endpoint + pathname, username: server.username },
        secrets: { password: server.password },
      }),
      [Symbol.asyncDispose]: () => server.stop(),
    }
  },
  purposeOf: ({ method, headers }) => {
    if (method === 'PROPFIND') return headers['depth'] === '1' ? 'list' : 'other'
    if (method === 'GET') return 'read'
    if (method === 'PUT') return 'put'
    return method === 'MOVE' || method === 'COPY' ? 'copy' : 'other'
  },
  refusals: { busy: { kind: 'answer', status: 503 }, expired: { kind: 'answer', status: 401 }, skewed: null },
}

export const httpProviders: readonly HttpProvider[] = [s3, webdav]
