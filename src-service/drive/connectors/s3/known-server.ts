/** What is known of a server: by its preset, and by measuring it, once for each place where things are stored. */
import type { CapabilityCheck } from '../../../common/drive-state.ts'
import { CloudError } from '../../../common/errors.ts'
import type { ConnectorContext } from '../connector.ts'
import { measureServer } from './measure-server.ts'
import type { Measured } from './measure-server.ts'
import type { S3Client } from './s3-client.ts'

interface Kept extends Measured {
  /** Raised when other things are measured. */
  readonly format: number
  /** Which server and bucket. */
  readonly of: string
  /** Milliseconds since 1970. */
  readonly at: number
}

const format = 1
const longestKept = 30 * 86_400_000
const measuringMs = 60_000

export class KnownServer {
  readonly #client: S3Client
  readonly #kept: ConnectorContext['kept']
  readonly #log: ConnectorContext['log']
  #measuring: Promise<void> | null = null
  #isKnown = false
  #checks: readonly CapabilityCheck[] = []

  constructor(client: S3Client, { kept, log }: ConnectorContext) {
    this.#client = client
    this.#kept = kept
    this.#log = log
    const before = parseKept(kept?.get(), this.#of)
    if (before === null) return
    client.learn(before.dialect)
    this.#checks = before.checks
    this.#isKnown = true
  }

  /** Before the first change: measures, if there is a place to keep it and nothing is kept there. Never fails: the preset then stands. */
  async beforeChange(): Promise<void> {
    if (this.#isKnown || this.#kept === undefined || this.#client.settings.bucket === null) return
    // For all who wait, whoever of them gives up.
    this.#measuring ??= this.#measureOnce()
    await this.#measuring
  }

  /** What was measured, now or at an earlier start. */
  get checks(): readonly CapabilityCheck[] {
    return this.#checks
  }

  /** Measures now. */
  async measure(signal: AbortSignal): Promise<readonly CapabilityCheck[]> {
    const { bucket, prefix } = this.#client.settings
    if (bucket === null) return [{ name: 'conditional creation', result: 'unknown', detail: 'measured for one bucket only' }]
    const { dialect, checks } = await measureServer(this.#client, bucket, prefix, signal)
    this.#client.learn(dialect)
    this.#checks = checks
    this.#isKnown = true
    const kept: Kept = { format, of: this.#of, at: Date.now(), dialect, checks }
    // What could not be told today may be told another day.
    if (checks.every(({ result }) => result !== 'unknown')) this.#kept?.set(JSON.stringify(kept))
    return checks
  }

  get #of(): string {
    const { endpoint, bucket, prefix } = this.#client.settings
    return `${endpoint.href} ${bucket ?? ''} ${prefix}`
  }

  async #measureOnce(): Promise<void> {
    try {
      const checks = await this.measure(AbortSignal.timeout(measuringMs))
      this.#log('info', 'what the server does was measured', Object.fromEntries(checks.map(({ name, result }) => [name, result])))
    } catch (caught) {
      const { kind, message } = CloudError.from(caught)
      this.#log('info', `what the server does could not be measured: ${message}`, { kind })
      // Not again for each change, where the key has no right to it; the way to the server may be better next time.
      this.#isKnown = kind === 'access' || kind === 'permission'
    } finally {
      this.#measuring = null
    }
  }
}

function parseKept(text: string | undefined, of: string): Kept | null {
  if (text === undefined) return null
  try {
    const kept = JSON.parse(text) as Partial<Kept>
    const isOurs = kept.format === format && kept.of === of && typeof kept.at === 'number' && Date.now() - kept.at < longestKept
    return isOurs && kept.dialect !== undefined && Array.isArray(kept.checks) ? (kept as Kept) : null
  } catch {
    return null
  }
}
