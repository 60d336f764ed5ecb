import { lstat, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CloudError } from '../../common/errors.ts'
import type { Log } from '../../common/telemetry/log.ts'
import type { Configuration } from './configuration.ts'

const mostFiles = 1000
const mostBytes = 1024 * 1024
const convergeMs = 600_000

/** What is told of a file that is wrong. */
export interface ConfigAlerts {
  raise(alert: { readonly severity: 'error'; readonly mountId: string; readonly reason: string; readonly message: string }): void
  over(mountId: string, reason: string): void
}

/**
 * Makes the configuration what a file, or every `*.yaml` and `*.yml` of a folder, says; what they named before and no longer do
 * goes. An invalid file changes nothing: what was configured stays, and an alert says why. Never rejects.
 */
export async function convergeTo(path: string, configuration: Configuration, log: Log, alerts: ConfigAlerts): Promise<boolean> {
  try {
    const texts = await readTexts(path)
    const wish = { dryRun: false, prune: true, passphrase: null, manager: 'file' } as const
    const { changes, warnings } = await configuration.read(texts, wish, AbortSignal.timeout(convergeMs))
    for (const { action, noun, name } of changes) log.write('info', `configuration: ${action} ${noun} '${name}'`, { path })
    for (const warning of warnings) log.write('warn', `configuration: ${warning}`, { path })
    alerts.over('', 'configuration-invalid')
    return true
  } catch (caught) {
    const { message, hint } = CloudError.from(caught)
    const text = `the configuration ${path} was not applied: ${message}${hint === undefined ? '' : `. ${hint}`}`
    // An alert that is open already tells nobody again, the log does.
    log.write('error', text)
    alerts.raise({ severity: 'error', mountId: '', reason: 'configuration-invalid', message: text })
    return false
  }
}

interface NamedText {
  readonly name: string
  readonly text: string
}

async function readTexts(path: string): Promise<NamedText[]> {
  const found = await stat(path).catch((caught: unknown) => {
    throw new CloudError('not-found', `${path} cannot be read (${CloudError.from(caught).kind})`)
  })
  if (!found.isDirectory()) return [{ name: path, text: await readText(path) }]
  // A folder that a deployment swaps under a link is complete or not there; hidden files are such tools' own.
  const names = (await readdir(path)).filter((name) => /^[^.].*\.ya?ml$/.test(name)).sort()
  if (names.length > mostFiles) throw new CloudError('too-large', `${path} holds more than ${mostFiles} files`)
  const texts: NamedText[] = []
  for (const name of names) texts.push({ name, text: await readText(join(path, name)) })
  return texts
}

async function readText(path: string): Promise<string> {
  const { size } = await stat(path)
  if (size > mostBytes) throw new CloudError('too-large', `${path} is larger than ${mostBytes} bytes`)
  if (((await lstat(path)).mode & 0o002) !== 0)
    throw new CloudError('access', `${path} can be written by every user`, { hint: `chmod o-w ${path}` })
  return readFile(path, 'utf8')
}
