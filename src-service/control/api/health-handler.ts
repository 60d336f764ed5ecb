import type { ServiceImpl } from '@connectrpc/connect'
import { HealthCheckResponse_ServingStatus as Status } from '../../../proto/gen/grpc/health/v1/health_pb.js'
import type { Health } from '../../../proto/gen/grpc/health/v1/health_pb.js'
import { CloudError } from '../../common/errors.ts'

/** The gRPC health protocol: who can be reached serves. */
export function healthHandler(services: readonly string[]): ServiceImpl<typeof Health> {
  const known = (service: string) => service === '' || services.includes(service)
  return {
    check: ({ service }) => {
      if (!known(service)) throw new CloudError('not-found', `there is no service ${service}`)
      return { status: Status.SERVING }
    },

    list: () => ({ statuses: Object.fromEntries(['', ...services].map((service) => [service, { status: Status.SERVING }])) }),

    watch: async function* ({ service }, { signal }) {
      yield { status: known(service) ? Status.SERVING : Status.SERVICE_UNKNOWN }
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve()
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
    },
  }
}
