/** Every connector there is, by name. The one place that imports the providers' folders. */
import { CloudError } from '../../common/errors.ts'
import { loadNative } from '../../common/native/load-native.ts'
import type { Native } from '../../common/native/native.ts'
import type { Connector, ConnectorContext } from './connector.ts'
import { LocalConnector } from './local/local-connector.ts'
import { descriptors } from './manifest.ts'
import { RateLimiter } from './rate-limiter.ts'
import { S3Connector } from './s3/s3-connector.ts'
import { WebdavConnector } from './webdav/webdav-connector.ts'
import { withDeadline } from './with-deadline.ts'
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
 * @param limiter shared by all mounts of one account; a new one at the type's own rate if not given
 * @throws CloudError `invalid` for an unknown type or options that lead nowhere
 */
export function openConnector(type: string, context: ConnectorContext, limiter = newLimiter(type)): OpenConnector {
  const open = connectors[type]
  if (!open) throw unknownType(type)
  const metrics = newMetrics()
  const wrapped = withDeadline(withRetry(withRateLimit(withMetrics(open(context), metrics), limiter)))
  return Object.assign(wrapped, { metrics, limiter })
}

/** The bucket that one account starts with. */
export function newLimiter(type: string): RateLimiter {
  const descriptor = descriptors.find((known) => known.type === type)
  if (!descriptor) throw unknownType(type)
  return new RateLimiter(descriptor.defaults.requestsPerSecond)
}

function unknownType(type: string): CloudError {
  return new CloudError('invalid', `there is no provider type ${type}`, {
    hint: `Known types: ${descriptors.map((descriptor) => descriptor.type).join(', ')}.`,
  })
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
