import type { Mount } from '../proto/gen/cloudmoor/v1/mount_pb.js'
import type { Provider } from '../proto/gen/cloudmoor/v1/provider_pb.js'
import type { Failure } from './failure.ts'
import { notFoundFailure } from './failure.ts'
import { nearest } from './nearest.ts'
import type { Service } from './service.ts'
import type { MountView } from './views.ts'
import { mountView } from './views.ts'

/** Every mount, by name. */
export async function allMounts(service: Service): Promise<Mount[]> {
  return allPages(async (pageToken) => {
    const page = await service.mounts.listMounts({ pageSize: 1000, pageToken })
    return { items: page.mounts, next: page.nextPageToken }
  })
}

/** Every saved provider, by name. */
export async function allProviders(service: Service): Promise<Provider[]> {
  return allPages(async (pageToken) => {
    const page = await service.providers.listProviders({ pageSize: 1000, pageToken })
    return { items: page.providers, next: page.nextPageToken }
  })
}

/** The mount that a path lies in, the innermost one. Nothing is asked of the mounted folder itself. */
export async function mountAround(service: Service, path: string): Promise<MountView> {
  const around = (await allMounts(service))
    .map(mountView)
    .filter((mount) => path === mount.path || path.startsWith(mount.path === '/' ? '/' : `${mount.path}/`))
    .sort((a, b) => b.path.length - a.path.length)[0]
  if (around === undefined) throw notFoundFailure(`${path} lies in none of the mounts`, 'cloudmoor status lists them')
  return around
}

/** The mount of this name. Throws a Failure that names the nearest. */
export async function mountNamed(service: Service, name: string): Promise<Mount> {
  const found = (await service.mounts.listMounts({ name })).mounts[0]
  if (found !== undefined) return found
  throw notFound(
    'mount',
    name,
    (await allMounts(service)).map((mount) => mount.name),
    'cloudmoor mount add',
  )
}

/** The provider of this name. Throws a Failure that names the nearest. */
export async function providerNamed(service: Service, name: string): Promise<Provider> {
  const found = (await service.providers.listProviders({ name })).providers[0]
  if (found !== undefined) return found
  throw notFound(
    'provider',
    name,
    (await allProviders(service)).map((provider) => provider.name),
    'cloudmoor config create',
  )
}

function notFound(what: string, name: string, names: readonly string[], make: string): Failure {
  const like = nearest(name, names)
  if (like !== undefined) return notFoundFailure(`no ${what} is called '${name}'`, `did you mean '${like}'?`)
  const known =
    names.length === 0 ? `there is none yet: ${make}` : `there are: ${names.slice(0, 10).join(', ')}${names.length > 10 ? ', …' : ''}`
  return notFoundFailure(`no ${what} is called '${name}'`, known)
}

async function allPages<Item>(
  fetchPage: (token: string) => Promise<{ readonly items: readonly Item[]; readonly next: string }>,
): Promise<Item[]> {
  const items: Item[] = []
  let token = ''
  do {
    const page = await fetchPage(token)
    items.push(...page.items)
    token = page.next
  } while (token !== '')
  return items
}
