import { lstat, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CloudError } from '../../common/errors.ts'
import type { Log } from '../../common/telemetry/log.ts'
import type { Audit } from '../users/audit.ts'
import type { Configuration } from './configuration.ts'
import type { PlannedChange } from './plan.ts'

const mostFiles = 1000
const mostBytes = 1024 * 1024
const convergeMs = 600_000

/** What is told of a file that is wrong. */
export interface ConfigAlerts {
  raise(alert: { readonly severity: 'error'; readonly mountId: string; readonly reason: string; readonly message: string }): void
  over(mountId: string, reason: string): void
}

interface ConvergeParts {
  readonly configuration: Configuration
  readonly log: Log
  readonly alerts: ConfigAlerts
  readonly audit: Pick<Audit, 'write'>
}

/**
 * Makes the configuration what a file, or every `*.yaml` and `*.yml` of a folder, says: what it no longer names goes. An invalid file
 * changes nothing: what was configured stays, and an alert says why. Without files what an earlier start had from some stays, and
 * belongs to nobody but the API. Never rejects.
 * @param path null = there are no files (any more).
 */
export async function convergeTo(path: string | null, { configuration, log, alerts, audit }: ConvergeParts): Promise<boolean> {
  try {
    const texts = path === null ? [] : await readTexts(path)
    const wish = { dryRun: false, prune: path !== null, passphrase: null, manager: 'file' } as const
    const { changes, warnings } = await configuration.read(texts, wish, AbortSignal.timeout(convergeMs))
    for (const change of changes) await tell(change, path ?? '', log, audit)
    for (const warning of warnings) log.write('warn', `configuration: ${warning}`, { path: path ?? '' })
    alerts.over('', 'configuration-invalid')
    return true
  } catch (caught) {
    const { message, hint } = CloudError.from(caught)
    const text = `the configuration ${path ?? 'without files'} was not applied: ${message}${hint === undefined ? '' : `. ${hint}`}`
    // An alert that is open already tells nobody again, the log does.
    log.write('error', text)
    alerts.raise({ severity: 'error', mountId: '', reason: 'configuration-invalid', message: text })
    return false
  }
}

/** What is done cannot be undone for want of an audit log: that tells of itself. */
async function tell({ action, noun, name }: PlannedChange, path: string, log: Log, audit: Pick<Audit, 'write'>): Promise<void> {
  const what = `${action} ${noun} '${name}'`
  const more = action === 'release' ? ': no file names it any more, it stays as it is and can be changed' : ''
  log.write('info', `configuration: ${what}${more}`, { path })
  const fact = { principal: 'service', origin: 'service', action: 'configuration-files', class: 'change', result: 'ok', target: what }
  await audit.write({ ...fact, mountId: '', providerId: '', correlationId: '' }).catch(() => {})
}

interface NamedText {
  /** Path of the file. */
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
  // A folder that something else was to fill is no wish that everything goes.
  if (names.length === 0) throw new CloudError('not-found', `${path} holds no *.yaml`, { hint: 'A file with "version: 1" names nothing.' })
  if (names.length > mostFiles) throw new CloudError('too-large', `${path} holds more than ${mostFiles} files`)
  const texts: NamedText[] = []
  for (const file of names.map((name) => join(path, name))) texts.push({ name: file, text: await readText(file) })
  return texts
}

async function readText(path: string): Promise<string> {
  const { size } = await stat(path)
  if (size > mostBytes) throw new CloudError('too-large', `${path} is larger than ${mostBytes} bytes`)
  if (((await lstat(path)).mode & 0o002) !== 0)
    throw new CloudError('access', `${path} can be written by every user`, { hint: `chmod o-w ${path}` })
  return readFile(path, 'utf8')
}
