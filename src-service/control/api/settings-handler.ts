import type { JsonObject } from '@bufbuild/protobuf'
import type { ServiceImpl } from '@connectrpc/connect'
import { createHash } from 'node:crypto'
import type { SettingsService } from '../../../proto/gen/cloudmoor/v1/settings_pb.js'
import { CloudError } from '../../common/errors.ts'
import { managedElsewhere } from '../store/managed-elsewhere.ts'
import { type Setting, settingNamed, settings } from '../store/settings.ts'
import type { SettingTable } from '../store/store.ts'

export interface SettingsParts {
  readonly table: SettingTable
  /** Values that the running service was started with, by name. */
  readonly started: ReadonlyMap<string, string>
  /** Those that a configuration file sets, with its path. */
  readonly managed: () => Promise<ReadonlyMap<string, string>>
}

/** SettingsService in terms of the registry of settings. */
export function settingsHandler({ table, started, managed }: SettingsParts): ServiceImpl<typeof SettingsService> {
  async function write(setting: Setting) {
    const { name, description, unit, atOnce, schema } = setting
    const found = await table.get(name)
    const file = (await managed()).get(name)
    const value = found ?? setting.default
    return {
      ...{ name, description, unit, atOnce, value },
      etag: etagOf(found),
      defaultValue: setting.default,
      isSet: found !== null,
      restartNeeded: !atOnce && started.get(name) !== value,
      managedByFile: file !== undefined,
      managedFile: file ?? '',
      schema: schema as JsonObject,
    }
  }

  /** @param value null = the default */
  async function change(name: string, value: string | null, etag: string) {
    const setting = settingNamed(name)
    if (value !== null) setting.check(value)
    const file = (await managed()).get(name)
    if (file !== undefined) throw managedElsewhere('setting', name, file)
    const found = await table.get(name)
    if (etag !== '' && etag !== etagOf(found)) throw new CloudError('conflict', `the setting '${name}' was changed in the meantime`)
    await table.replace(name, found, value)
    return write(setting)
  }

  return {
    listSettings: async () => ({ settings: await Promise.all(settings.map(write)) }),
    getSetting: async ({ name }) => ({ setting: await write(settingNamed(name)) }),
    updateSetting: async ({ name, value, etag }) => ({ setting: await change(name, value, etag) }),
    resetSetting: async ({ name, etag }) => ({ setting: await change(name, null, etag) }),
  }
}

function etagOf(value: string | null): string {
  return value === null ? 'default' : createHash('sha256').update(value).digest('hex').slice(0, 16)
}
