/** Gives a service something of everything, so that a request out of the blue can hit. */
import { mkdir, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { shell } from '../../support/installation.ts'
import type { Installation } from '../../support/installation.ts'

/** Values that exist, by operation and then by place: `path.id`, `body.name`. */
export type Known = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>

const passphrase = 'a passphrase of the seed'
/** Who the example of Login in /openapi.json is about. */
const anna = { name: 'anna', password: 'correct horse battery staple' }
/** Of what an operation takes away or uses up. */
const many = 12

export interface Seeded {
  readonly known: Known
  /** Of an admin. */
  readonly token: string
}

/** A mount that is in use, and of everything that operations take away so many that some are left. */
export async function seed(place: Installation): Promise<Seeded> {
  const service = new Rest(join(place.home, 'run/service.sock'))
  const numbers = Array.from({ length: many }, (_, index) => index)
  const cloud = join(place.folder, 'cloud')
  await mkdir(join(cloud, 'docs/sub'), { recursive: true })
  for (const index of numbers) await writeFile(join(cloud, `docs/old-${index}.txt`), `old ${index}\n`)

  const account = async (name: string) => service.made('/api/v1/providers', { provider: { name, type: 'local', options: { path: cloud } } })
  const cloudId = await account('cloud')
  const spareAccounts = await each(numbers, (index) => account(`spare-${index}`))
  const mount = async (name: string, remoteRoot: string, seconds: number) => {
    const path = join(place.folder, 'mounts', name)
    for (const folder of [path, join(cloud, remoteRoot)]) await mkdir(folder, { recursive: true })
    return service.made('/api/v1/mounts', { name, providerId: cloudId, path, remoteRoot, options: { writeBackSeconds: seconds } })
  }
  const mountId = await mount('drive', 'docs', 2)
  const spareMounts = await each(numbers, (index) => mount(`spare-${index}`, `spare/${index}`, 0))

  await service.call('POST', `/api/v1/mounts/${mountId}:start`, {})
  const conflicts = await makeConflicts(service, place, cloud, mountId, numbers)
  const orphans = await each(numbers, (index) => makeOrphan(service, () => mount(`slow-${index}`, `slow/${index}`, 3600)))
  const alerts = await makeAlerts(service, await each(numbers.slice(0, 3), (index) => mount(`cut-${index}`, `cut/${index}`, 0)))

  const users = await each(numbers, (index) =>
    service.made('/api/v1/users', { name: index === 0 ? anna.name : `user-${index}`, grant: { role: 'ROLE_OPERATOR' } }),
  )
  const codes = await each(users, async (id) => String((await service.call('POST', `/api/v1/users/${id}:invite`, {}))['code']))
  await each(codes.slice(0, 1), (code) => service.call('POST', '/api/v1/sessions:acceptInvite', { code, password: anna.password }))
  await each(numbers, () => service.call('POST', '/api/v1/sessions:login', anna))
  const { sessions } = (await service.call('GET', '/api/v1/sessions')) as { sessions: { id: string }[] }
  const tokens = await each(numbers, async (index) => {
    const made = await service.call('POST', '/api/v1/tokens', { name: `token-${index}`, grant: { role: 'ROLE_READ_ONLY' } })
    return (made['token'] as { id: string }).id
  })
  await each(numbers, (index) => service.call('PUT', `/api/v1/vault/secrets/secret-${index}`, { value: 'a secret of the seed' }))
  const slots = await each(numbers.slice(0, 6), (index) =>
    service.made('/api/v1/vault/slots', {
      kind: 'VAULT_SLOT_KIND_PASSPHRASE',
      passphrase: index === 0 ? passphrase : `${passphrase} ${index}`,
    }),
  )
  const backup = join(place.folder, 'backup')
  await service.call('POST', '/api/v1/backups:create', { path: backup })
  const { text: yaml } = await service.call('POST', '/api/v1/config:export', {})

  const { text: token } = await service.call('POST', '/api/v1/tokens', { name: 'schemathesis', grant: { role: 'ROLE_ADMIN' } })

  const file = numbers.map((index) => `old-${index}.txt`)
  const free = (what: string) => numbers.map((index) => join(place.folder, `${what}-${index}`))
  const onMount = { 'path.mountId': [mountId] }
  const inMount = { ...onMount, 'path.path': file }
  const aboutFile = { ...onMount, 'body.path': file }
  const known: Known = {
    AlertService_AcknowledgeAlert: { 'path.id': alerts },
    AlertService_ResolveAlert: { 'path.id': alerts },
    BackupService_CreateBackup: { 'body.path': free('backup') },
    BackupService_VerifyBackup: { 'body.path': [backup], 'body.passphrase': [''] },
    BrowseService_ListFolder: { 'path.providerId': [cloudId], 'path.path': ['docs'] },
    BrowseService_ListFolder_2: { 'path.providerId': [cloudId] },
    CacheService_ClearCache: onMount,
    CacheService_GetCacheUsage: onMount,
    ConfigService_ImportConfig: { 'body.text': [String(yaml)] },
    ConflictService_ListConflicts: { 'query.mountId': [mountId] },
    ConflictService_ResolveConflict: { ...onMount, 'path.conflictId': conflicts },
    FileService_FreeFile: aboutFile,
    FileService_GetFileState: inMount,
    FileService_GetFileState_2: onMount,
    FileService_ListFiles: { ...onMount, 'path.path': ['sub'] },
    FileService_ListFiles_2: onMount,
    FileService_PinFile: aboutFile,
    FileService_RemoveFile: aboutFile,
    FileService_RenameFile: aboutFile,
    FileService_SearchFiles: onMount,
    MetricsService_GetMetrics: { 'query.mountId': [mountId] },
    MountService_CreateMount: { 'body.providerId': [cloudId], 'body.path': free('folder') },
    MountService_GetMount: { 'path.id': [mountId] },
    MountService_RemoveMount: { 'path.id': spareMounts.slice(1) },
    MountService_StartMount: { 'path.id': [mountId, ...spareMounts.slice(0, 1)] },
    MountService_StopMount: { 'path.id': spareMounts.slice(0, 1) },
    MountService_UpdateMount: { 'path.id': spareMounts.slice(0, 1) },
    OrphanService_AdoptOrphan: { 'path.id': orphans.slice(0, 6), 'body.providerId': ['', cloudId], 'body.name': [''], 'body.path': [''] },
    OrphanService_DiscardOrphan: { 'path.id': orphans.slice(6, 9), 'query.files': ['1'] },
    OrphanService_ExportOrphan: { 'path.id': orphans.slice(9), 'body.folder': free('out') },
    ProviderService_CreateProvider: { 'body.provider.type': ['local'] },
    ProviderService_GetProvider: { 'path.id': [cloudId] },
    ProviderService_RemoveProvider: { 'path.id': spareAccounts.slice(1) },
    ProviderService_TestProvider: { 'path.id': [cloudId] },
    ProviderService_UpdateProvider: { 'path.id': spareAccounts.slice(0, 1) },
    SessionService_RevokeSession: { 'path.id': sessions.map(({ id }) => id) },
    SettingsService_GetSetting: { 'path.name': ['auditDays', 'probeSeconds'] },
    SettingsService_ResetSetting: { 'path.name': ['auditDays', 'probeSeconds'] },
    SettingsService_UpdateSetting: { 'path.name': ['auditDays', 'probeSeconds'], 'body.value': ['30', '60'] },
    TokenService_RevokeToken: { 'path.id': tokens.slice(0, 6) },
    TokenService_RotateToken: { 'path.id': tokens.slice(6) },
    TransferService_RetryTransfers: onMount,
    UserService_GetUser: { 'path.id': users.slice(0, 2) },
    UserService_InviteUser: { 'path.id': users.slice(-2) },
    UserService_RemoveUser: { 'path.id': users.slice(-6, -2) },
    UserService_UpdateUser: { 'path.id': users.slice(0, 2) },
    VaultService_AddSlot: { 'body.replaceSlotId': ['', ...slots.slice(-2)] },
    VaultService_DeleteSecret: { 'path.name': numbers.map((index) => `secret-${index}`) },
    VaultService_RemoveSlot: { 'path.slotId': slots.slice(1, -2) },
    VaultService_UnlockVault: { 'body.passphrase': [passphrase] },
    lookAtContent: inMount,
    readContent: inMount,
    writeContent: { ...onMount, 'path.path': file },
  }
  return { known, token: String(token) }
}

type Json = Readonly<Record<string, unknown>>

/** Speaks REST over the socket; throws with what it was told. */
class Rest {
  readonly #socketPath: string

  constructor(socketPath: string) {
    this.#socketPath = socketPath
  }

  call(method: string, path: string, body?: Json): Promise<Json> {
    return new Promise((resolve, reject) => {
      const headers = { host: 'localhost', ...(body === undefined ? {} : { 'content-type': 'application/json' }) }
      const asked = request({ socketPath: this.#socketPath, method, path, headers, agent: false }, (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          if (answer.statusCode === 200) resolve(JSON.parse(text) as Json)
          else reject(new Error(`${method} ${path}: ${answer.statusCode ?? 0} ${text}`))
        })
      })
      asked.on('error', reject).end(body === undefined ? '' : JSON.stringify(body))
    })
  }

  /** The id of what is made. */
  async made(path: string, body: Json): Promise<string> {
    return String((await this.call('POST', path, body))['id'])
  }

  async until<T>(path: string, isThere: (answer: Json) => T | null): Promise<T> {
    for (const end = performance.now() + 60_000; performance.now() < end; ) {
      const found = isThere(await this.call('GET', path))
      if (found !== null) return found
      await sleep(100)
    }
    throw new Error(`${path} did not become what was waited for`)
  }
}

async function each<A, B>(items: readonly A[], work: (item: A) => Promise<B>): Promise<B[]> {
  const done: B[] = []
  for (const item of items) done.push(await work(item))
  return done
}

/** Files that are changed here and there at the same time. */
async function makeConflicts(service: Rest, place: Installation, cloud: string, mountId: string, numbers: readonly number[]) {
  const here = join(place.folder, 'mounts/drive')
  const both = (text: string, where: string) => each(numbers, (index) => writeFile(join(where, `both-${index}.txt`), text))
  await both('base\n', here)
  await place.uploaded('drive')
  await both('ours\n', here)
  await both('theirs, longer\n', join(cloud, 'docs'))
  return service.until(`/api/v1/conflicts?mountId=${mountId}`, (answer) => {
    const found = answer['conflicts'] as readonly { readonly id: string }[]
    return found.length >= 4 ? found.map(({ id }) => id) : null
  })
}

/** A mount that goes with a file that was not sent. */
async function makeOrphan(service: Rest, mount: () => Promise<string>): Promise<string> {
  const id = await mount()
  const { path } = (await service.call('POST', `/api/v1/mounts/${id}:start`, {})) as { path: string }
  await writeFile(join(path, 'unsent.txt'), 'unsent\n')
  await service.call('DELETE', `/api/v1/mounts/${id}?park=true`)
  return id
}

/** Mounts whose folders somebody takes away. */
async function makeAlerts(service: Rest, mounts: readonly string[]): Promise<readonly string[]> {
  for (const id of mounts) {
    const { path } = (await service.call('POST', `/api/v1/mounts/${id}:start`, {})) as { path: string }
    await shell(`umount -l "${path}"`)
  }
  return service.until('/api/v1/alerts', (answer) => {
    const found = answer['alerts'] as readonly { readonly id: string }[]
    return found.length >= mounts.length ? found.map(({ id }) => id) : null
  })
}
