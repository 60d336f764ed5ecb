import { Worker } from 'node:worker_threads'
import { CloudError } from '../../common/errors.ts'
import type { Operations } from './operations.ts'
import type { StoreCall, StoreOptions, StoreReply } from './store-messages.ts'
import type { Store } from './store.ts'

/** Calls that may wait for the thread. */
const maxWaiting = 1000

/** Opens the database in a thread of its own. Rejects with `busy` (HOME_IN_USE), `unsupported` (DATABASE_NEWER), `damaged`, or what the disk says. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const thread = startThread(options)
  await thread.opened
  const { call } = thread
  return {
    providers: {
      list: () => call('providers', 'list'),
      get: (id) => call('providers', 'get', id),
      insert: (provider, request) => call('providers', 'insert', provider, request),
      update: (id, revision, change, unused) => call('providers', 'update', id, revision, change, unused),
      remove: (id, revision) => call('providers', 'remove', id, revision),
    },
    mounts: {
      list: () => call('mounts', 'list'),
      get: (id) => call('mounts', 'get', id),
      insert: (mount, request) => call('mounts', 'insert', mount, request),
      update: (id, revision, change) => call('mounts', 'update', id, revision, change),
      remove: (id, revision) => call('mounts', 'remove', id, revision),
    },
    settings: {
      get: (name) => call('settings', 'get', name),
      set: (name, value) => call('settings', 'set', name, value),
      replace: (name, expected, value) => call('settings', 'replace', name, expected, value),
    },
    vault: {
      read: () => call('vault', 'read'),
      commit: (change) => call('vault', 'commit', change),
      secret: (id) => call('vault', 'secret', id),
      secrets: () => call('vault', 'secrets'),
    },
    requests: {
      find: (request) => call('requests', 'find', request),
    },
    users: {
      list: () => call('users', 'list'),
      get: (id) => call('users', 'get', id),
      find: (name) => call('users', 'find', name),
      insert: (user, request) => call('users', 'insert', user, request),
      update: (id, revision, change) => call('users', 'update', id, revision, change),
      remove: (id, revision) => call('users', 'remove', id, revision),
      acceptInvite: (codeHash, password, now) => call('users', 'acceptInvite', codeHash, password, now),
      loggedIn: (id, at) => call('users', 'loggedIn', id, at),
    },
    tokens: {
      list: () => call('tokens', 'list'),
      get: (id) => call('tokens', 'get', id),
      findByHash: (hash) => call('tokens', 'findByHash', hash),
      insert: (token, request) => call('tokens', 'insert', token, request),
      replaceHash: (id, hash) => call('tokens', 'replaceHash', id, hash),
      remove: (id) => call('tokens', 'remove', id),
      used: (id, at, from) => call('tokens', 'used', id, at, from),
    },
    sessions: {
      list: () => call('sessions', 'list'),
      findByHash: (hash) => call('sessions', 'findByHash', hash),
      insert: (session) => call('sessions', 'insert', session),
      remove: (id) => call('sessions', 'remove', id),
      removeOfUser: (userId) => call('sessions', 'removeOfUser', userId),
      used: (id, at) => call('sessions', 'used', id, at),
    },
    loginFailures: {
      find: (keys) => call('loginFailures', 'find', keys),
      put: (failures) => call('loginFailures', 'put', failures),
      remove: (keys) => call('loginFailures', 'remove', keys),
    },
    audit: {
      segments: () => call('audit', 'segments'),
      last: () => call('audit', 'last'),
      append: (line, segment) => call('audit', 'append', line, segment),
      read: (filter, limit) => call('audit', 'read', filter, limit),
      tail: (filter, count) => call('audit', 'tail', filter, count),
      dropUpTo: (segment) => call('audit', 'dropUpTo', segment),
    },
    alerts: {
      list: (all) => call('alerts', 'list', all),
      get: (id) => call('alerts', 'get', id),
      raise: (alert, at) => call('alerts', 'raise', alert, at),
      acknowledge: (id, by, at) => call('alerts', 'acknowledge', id, by, at),
      resolve: (id, by, at) => call('alerts', 'resolve', id, by, at),
    },
    config: {
      apply: (change) => call('config', 'apply', change),
    },
    copies: {
      make: (path) => call('copies', 'make', path),
      check: (path) => call('copies', 'check', path),
    },
    close: async () => {
      await thread.close()
      await thread.ended
    },
  }
}

interface StoreThread {
  readonly opened: Promise<unknown>
  readonly ended: Promise<void>
  readonly call: Call
  close(): Promise<unknown>
}

type Operation = (...args: never[]) => unknown
/** Calls an operation of the thread: its arguments and result are those of `operations.ts`. */
type Call = <Table extends keyof Operations, Name extends keyof Operations[Table]>(
  table: Table,
  name: Name,
  ...args: Operations[Table][Name] extends Operation ? Parameters<Operations[Table][Name]> : never
) => Promise<Operations[Table][Name] extends Operation ? ReturnType<Operations[Table][Name]> : never>

function startThread(options: StoreOptions): StoreThread {
  const entry = import.meta.url.endsWith('.ts') ? './store-thread.ts' : './store-thread.js'
  const worker = new Worker(new URL(entry, import.meta.url), { workerData: options, name: 'store', execArgv: [] })
  const waiting = new Map<number, { readonly resolve: (value: unknown) => void; readonly reject: (error: CloudError) => void }>()
  let lastId = 0
  let over: CloudError | null = null

  /** What comes back is what `operations.ts` returns: the thread runs the same version. */
  function expect<Result>(id: number): Promise<Result> {
    return new Promise((resolve, reject) => waiting.set(id, { resolve: (value) => resolve(value as Result), reject }))
  }

  function end(why: CloudError): void {
    over ??= why
    for (const { reject } of waiting.values()) reject(over)
    waiting.clear()
  }

  worker.on('message', (reply: StoreReply) => {
    const caller = waiting.get(reply.id)
    waiting.delete(reply.id)
    if (!('error' in reply)) return caller?.resolve(reply.value)
    const { kind, message, ...detail } = reply.error
    caller?.reject(new CloudError(kind, message, detail))
  })
  worker.on('error', (caught) =>
    end(new CloudError('internal', `the store's thread failed: ${CloudError.from(caught).message}`, { cause: caught })),
  )
  const ended = new Promise<void>((resolve) => {
    worker.on('exit', () => {
      end(new CloudError('unavailable', 'the store is closed', { code: 'SHUTTING_DOWN' }))
      resolve()
    })
  })
  function send<Result>(group: string, method: string, args: readonly unknown[]): Promise<Result> {
    if (over !== null) return Promise.reject(over)
    if (waiting.size >= maxWaiting) return Promise.reject(new CloudError('unavailable', 'too many calls wait for the database'))
    const id = ++lastId
    worker.postMessage({ id, group, method, args } satisfies StoreCall)
    return expect(id)
  }

  return {
    opened: expect(0),
    ended,
    call: (table, name, ...args) => send(table, String(name), args),
    close: () => send('close', '', []),
  }
}
