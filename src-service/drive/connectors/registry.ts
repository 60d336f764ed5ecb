/** Every connector there is, by name. The one place that imports the providers' folders. */
import { CloudError } from '../../common/errors.ts'
import { loadNative } from '../../common/native/load-native.ts'
import type { Native } from '../../common/native/native.ts'
import type { Connector, ConnectorContext } from './connector.ts'
import { LocalConnector } from './local/local-connector.ts'
import { accountRate, unknownType } from './manifest.ts'
import { RateLimiter } from './rate-limiter.ts'
import { S3Connector } from './s3/s3-connector.ts'
import { WebdavConnector } from './webdav/webdav-connector.ts'
import { defaultDeadlines, withDeadline } from './with-deadline.ts'
import type { Deadlines } from './with-deadline.ts'
import { newMetrics, withMetrics } from './with-metrics.ts'
import type { ConnectorMetrics } from './with-metrics.ts'
import { withRateLimit } from './with-rate-limit.ts'
import { withRetry } from './with-retry.ts'

type Open = (context: ConnectorContext) => Connector

const connectors: Readonly<Record<string, Open>> = {
  local: (context) => new LocalConnector(context, nativeIfBuilt()),
  s3: (context) => new S3Connector(context),
  webdav: (context) => new WebdavConnector(context),
}

/** A connector in its wrappers, with what they know. */
export interface OpenConnector extends Connector {
  readonly metrics: ConnectorMetrics
  /** `throttledUntil` and the present rate. */
  readonly limiter: RateLimiter
}

/**
 * @param share requests a second; all that the account bears if not given
 * @throws CloudError `invalid` for an unknown type or options that lead nowhere
 */
export function openConnector(
  type: string,
  context: ConnectorContext,
  share?: number,
  deadlines: Deadlines = defaultDeadlines,
): OpenConnector {
  const open = connectors[type]
  if (!open) throw unknownType(type)
  const limiter = new RateLimiter(accountRate(type, context.settings.options), share)
  const metrics = newMetrics()
  const wrapped = withDeadline(
    withRetry(withRateLimit(withMetrics(open({ ...context, onRequest: () => limiter.sent() }), metrics), limiter)),
    deadlines,
  )
  return Object.assign(wrapped, { metrics, limiter })
}

/** The local connector can do with less where the addon does not exist. */
function nativeIfBuilt(): Native | null {
  try {
    return loadNative()
  } catch (caught) {
    if (CloudError.from(caught).kind === 'unsupported') return null
    throw caught
  }
}
