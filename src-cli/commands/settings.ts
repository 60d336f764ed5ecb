import type { Command } from 'commander'
import type { Setting } from '../../proto/gen/cloudmoor/v1/settings_pb.js'
import type { Cli } from '../cli.ts'
import { safe, show, table } from '../output.ts'

/** `cloudmoor settings …`. */
export function addSettingCommands(program: Command, cli: Cli): void {
  const settings = program.command('settings').description('settings of the service')
  settings
    .command('list')
    .description('show every setting, with what it is for')
    .action(() => list(cli))
  settings
    .command('set')
    .argument('<name>', 'a setting')
    .argument('<value>', 'what it shall be')
    .description('set it; says whether the service must be restarted for that')
    .action((name: string, value: string) => set(cli, name, value))
  settings
    .command('reset')
    .argument('<name>', 'a setting')
    .description('back to its default')
    .action((name: string) => reset(cli, name))
}

function settingView(setting: Setting | undefined) {
  if (setting === undefined) throw new Error('the service gave an answer without the setting')
  const { name, value, defaultValue, isSet, description, unit, atOnce, restartNeeded, managedByFile, managedFile } = setting
  return { name, value, defaultValue, isSet, description, unit, atOnce, restartNeeded, managedByFile, managedFile }
}

type SettingView = ReturnType<typeof settingView>

async function list(cli: Cli): Promise<void> {
  const service = await cli.connectOrStart()
  const views = (await service.settings.listSettings({})).settings.map(settingView)
  show(cli.output, views, () => {
    const waiting = views.filter(({ restartNeeded }) => restartNeeded)
    return [settingTable(views), ...waiting.map(({ name }) => `${name}: ${restartText}`)].join('\n')
  })
}

function settingTable(views: readonly SettingView[]): string {
  return table<SettingView>(
    [
      { title: 'NAME', value: ({ name }) => name },
      { title: 'VALUE', value: ({ value, unit }) => (value === '' ? '-' : `${safe(value)}${unit === '' ? '' : ` ${unit}`}`) },
      { title: 'SET', value: ({ isSet, managedByFile }) => (managedByFile ? 'by file' : isSet ? 'yes' : 'default') },
      { title: 'WHAT', value: ({ description }) => description },
    ],
    views,
  )
}

async function set(cli: Cli, name: string, value: string): Promise<void> {
  const service = await cli.connectOrStart()
  const { setting } = await service.settings.updateSetting({ name, value })
  tell(cli, settingView(setting))
}

async function reset(cli: Cli, name: string): Promise<void> {
  const service = await cli.connectOrStart()
  const { setting } = await service.settings.resetSetting({ name })
  tell(cli, settingView(setting))
}

const restartText = 'counts from the next start on; cloudmoor service restart leaves mounts up'

function tell(cli: Cli, view: SettingView): void {
  const { name, value, restartNeeded } = view
  show(cli.output, view, () => `${name} is '${safe(value)}'${restartNeeded ? `; it ${restartText}` : ''}`)
}
