import { realpath } from 'node:fs/promises'
import { dirname, isAbsolute, normalize, sep } from 'node:path'
import { CloudError } from '../../common/errors.ts'
import { list, readSetting } from '../store/settings.ts'
import type { SettingTable } from '../store/store.ts'
import type { AccessReason } from '../users/access-errors.ts'
import type { Principal } from '../users/principal.ts'

/**
 * Where others than admins may put mounts and caches: the service would make them with its own rights. Symbolic links are followed,
 * of the path and of the roots. Throws `permission` (PATH_NOT_ALLOWED). @param path '' or undefined = none is chosen
 */
export async function checkPlace(
  settings: Pick<SettingTable, 'get'>,
  principal: Principal,
  setting: 'mountRoots' | 'cacheRoots',
  path: string | undefined,
): Promise<void> {
  if (principal.role === 'admin' || path === undefined || path === '') return
  const roots = list(await readSetting(settings, setting))
  const real = isAbsolute(path) ? await realPlace(normalize(path)) : path
  for (const root of roots) if (real.startsWith(`${await realPlace(root)}${sep}`)) return
  const known = roots.length === 0 ? 'None is set aside yet' : `Choose a folder below ${roots.join(', ')}`
  throw new CloudError('permission', `${path} lies outside of the folders that are set aside for this`, {
    ...{ code: 'PATH_NOT_ALLOWED' satisfies AccessReason, hint: `${known}; an administrator sets ${setting}.` },
  })
}

/** The path without symbolic links, as far as it exists. */
async function realPlace(path: string): Promise<string> {
  const found = await realpath(path).catch(() => null)
  if (found !== null) return found
  const parent = dirname(path)
  return parent === path ? path : `${(await realPlace(parent)).replace(/\/$/, '')}${path.slice(parent === '/' ? 0 : parent.length)}`
}
