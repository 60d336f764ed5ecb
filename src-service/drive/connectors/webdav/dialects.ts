/** In what WebDAV servers differ before anybody has asked them. What can be measured is measured (`conditions.ts`) and not listed here. */
export interface Dialect {
  /** Path below an address that has none; `{username}` stands for the user. */
  readonly path: string
  /** Keeps the modification time of an upload (X-OC-Mtime). */
  readonly keepsMtime: boolean
  /** Signs that no name may contain. */
  readonly forbidden: string
  readonly trimsTrailing: boolean
}

export interface WebdavPreset {
  readonly name: string
  readonly title: string
  readonly dialect: Dialect
}

const plain: Dialect = { path: '/', keepsMtime: false, forbidden: '', trimsTrailing: false }
const cloud: Dialect = { ...plain, path: '/remote.php/dav/files/{username}', keepsMtime: true }

export const defaultPreset = 'generic'

export const webdavPresets: readonly WebdavPreset[] = [
  { name: defaultPreset, title: 'Any WebDAV server', dialect: plain },
  { name: 'nextcloud', title: 'Nextcloud', dialect: cloud },
  { name: 'owncloud', title: 'ownCloud', dialect: cloud },
  { name: 'sharepoint', title: 'SharePoint', dialect: { ...plain, forbidden: '"*:<>?|\\', trimsTrailing: true } },
]
