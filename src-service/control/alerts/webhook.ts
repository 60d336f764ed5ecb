import { createHmac } from 'node:crypto'
import { type Backoff, backoffDelay } from '../../common/backoff.ts'
import { type Clock, pause } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'
import type { Secret } from '../../common/secret.ts'
import type { WriteLog } from '../../common/telemetry/log.ts'
import type { AlertNews } from './alerts.ts'

/** Where alerts are sent. Both texts are references to secrets. */
export interface WebhookSettings {
  /** '' = nowhere. */
  readonly url: string
  readonly key: string
  /** Also without encryption. */
  readonly plain: boolean
}

export interface WebhookParts {
  /** Asked before every try, so that a change counts at once. */
  readonly settings: () => Promise<WebhookSettings>
  readonly secret: (reference: string) => Promise<Secret>
  readonly clock: Clock
  readonly log: WriteLog
  readonly service: { readonly instance: string; readonly version: string }
  readonly mountName: (id: string) => Promise<string>
  readonly backoff?: Backoff
  /** Milliseconds for one try. */
  readonly deadlineMs?: number
}

/** Sends alerts to a web address, one after the other. */
export interface Webhook {
  /** Never waits. News beyond 200 that wait push out the oldest. */
  readonly take: (news: AlertNews) => void
  /** Gives up what waits. */
  close(): Promise<void>
}

const mostWaiting = 200
const mostTries = 12
const retrying: Backoff = { base: 1_000, cap: 300_000 }
const answerMs = 10_000

/** Body and headers are those of docs/operations/alerts.md. */
export function openWebhook(parts: WebhookParts): Webhook {
  const { clock, log } = parts
  const waiting: AlertNews[] = []
  const ended = new AbortController()
  const isOver = () => ended.signal.aborted
  let working: Promise<void> | null = null
  let lost = 0

  async function work(): Promise<void> {
    for (let next = waiting[0]; next !== undefined && !isOver(); next = waiting[0]) {
      await deliver(next)
      if (waiting[0] === next) waiting.shift()
    }
    working = null
  }

  async function deliver(news: AlertNews): Promise<void> {
    const { mountId, id } = news.alert
    const name = mountId === '' ? null : await parts.mountName(mountId).catch(() => null)
    const delivery = { id: `${id}-${news.what}`, body: JSON.stringify(payloadOf(news, name, parts.service)) }
    for (let attempt = 1; !isOver(); attempt++) {
      const error = await send(parts, delivery, ended.signal).then(
        () => null,
        (caught: unknown) => CloudError.from(caught),
      )
      if (error === null || isOver()) return
      if (!isWorthRetrying(error) || attempt >= mostTries) {
        log('error', `an alert was not delivered to the webhook: ${error.message}`, { kind: error.kind, attempt })
        return
      }
      if (attempt === 1) log('warn', `the webhook cannot be reached, it is tried again: ${error.message}`, { kind: error.kind })
      await pause(clock, backoffDelay(parts.backoff ?? retrying, attempt), ended.signal)
    }
  }

  return {
    take: (news) => {
      if (isOver() || news.what === 'repeated') return
      waiting.push(news)
      if (waiting.length > mostWaiting) {
        // The first one may be on its way.
        waiting.splice(1, 1)
        if (lost++ % mostWaiting === 0) log('warn', 'more alerts than the webhook takes: the oldest are given up', { lost })
      }
      working ??= work()
    },
    close: async () => {
      ended.abort()
      await working
    },
  }
}

function payloadOf({ what, alert }: AlertNews, name: string | null, service: WebhookParts['service']) {
  const { id, severity, mountId, reason, message, lines, correlationId, times, raisedAt, acknowledgedBy, resolvedAt } = alert
  const time = (at: number) => (at === 0 ? null : new Date(at).toISOString())
  return {
    event: what,
    alert: {
      ...{ id, severity, reason, message, lines, correlationId, times, acknowledgedBy },
      mount: mountId === '' ? null : { id: mountId, name },
      raisedAt: time(raisedAt),
      resolvedAt: time(resolvedAt),
    },
    service,
  }
}

/** Resolves when the other side took it. Nothing of the address is in an error: it may be a secret. */
async function send(parts: WebhookParts, { id, body }: { readonly id: string; readonly body: string }, ended: AbortSignal): Promise<void> {
  const { url, key, plain } = await parts.settings()
  if (url === '') return
  const target = (await parts.secret(url)).reveal()
  if (!URL.canParse(target) || !['https:', ...(plain ? ['http:'] : [])].includes(new URL(target).protocol)) {
    throw new CloudError('invalid', `the address of the webhook is no ${plain ? 'http or ' : ''}https address`)
  }
  if (key === '') throw new CloudError('invalid', 'the webhook has no key to sign with', { hint: 'Set alertWebhookKey.' })
  const at = Math.floor(parts.clock.now() / 1000)
  const signature = createHmac('sha256', (await parts.secret(key)).reveal())
    .update(`${at}.${body}`)
    .digest('hex')
  const headers = {
    'content-type': 'application/json',
    'user-agent': `cloudmoor/${parts.service.version}`,
    'cloudmoor-delivery': id,
    'cloudmoor-signature': `t=${at},v1=${signature}`,
  }
  const signal = AbortSignal.any([ended, AbortSignal.timeout(parts.deadlineMs ?? answerMs)])
  const status = await post(target, { headers, body, signal })
  if (status >= 200 && status < 300) return
  const isTheirs = status >= 500 || status === 408 || status === 425 || status === 429
  throw new CloudError(isTheirs ? 'unavailable' : 'invalid', `the webhook answered with status ${status}`)
}

async function post(target: string, options: { headers: Record<string, string>; body: string; signal: AbortSignal }): Promise<number> {
  try {
    // Redirections are not followed: alerts go where they were told to go.
    const { status, body } = await fetch(target, { method: 'POST', redirect: 'manual', ...options })
    await body?.cancel().catch(() => {})
    return status
  } catch (caught) {
    // That of fetch says no more than that it failed.
    const { kind } = CloudError.from(caught instanceof TypeError ? (caught.cause ?? caught) : caught)
    throw new CloudError(kind === 'timeout' || options.signal.aborted ? 'timeout' : 'offline', `the webhook does not answer (${kind})`)
  }
}

/** A locked vault opens, and what is missing is put there: only what is wrong stays wrong. */
function isWorthRetrying(error: CloudError): boolean {
  return error.kind !== 'invalid'
}
