import type { DriveMetrics } from '../../common/drive-state.ts'
import type { MessageInitShape } from '@bufbuild/protobuf'
import type { ServiceImpl } from '@connectrpc/connect'
import type { MetricsService, MountSampleSchema } from '../../../proto/gen/cloudmoor/v1/metrics_pb.js'
import { sightOf } from './call.ts'
import type { MetricSamples, MountSample } from './metrics/metric-samples.ts'
import { writeState, writeStatus } from './mount-wire.ts'
import { writeTime } from './wire-values.ts'

/** MetricsService in terms of the samples. */
export function metricsHandler(samples: MetricSamples): ServiceImpl<typeof MetricsService> {
  return {
    getMetrics: ({ mountId }, context) => {
      const sight = sightOf(context)
      const wanted = ({ mount }: MountSample) => (mountId === '' || mountId === mount.record.id) && sight.mount(mount.record.id)
      return {
        samples: samples.list().map(({ time, memoryBytes, mounts }) => ({
          time: writeTime(time),
          memoryBytes: BigInt(sight.whole ? memoryBytes : 0),
          mounts: mounts.filter(wanted).map(writeSample),
        })),
      }
    },
  }
}

function writeSample({ mount, metrics }: MountSample): MessageInitShape<typeof MountSampleSchema> {
  const { queue, cache } = writeStatus(mount.status)
  return {
    mountId: mount.record.id,
    state: writeState(mount.status.state),
    ...(queue === undefined ? {} : { queue }),
    ...(cache === undefined ? {} : { cache }),
    ...(metrics === null ? {} : { counts: writeCounts(metrics) }),
  }
}

function writeCounts(metrics: DriveMetrics) {
  return {
    httpRequests: sum(Object.values(metrics.requests)),
    httpErrors: sum(Object.values(metrics.errors)),
    httpMilliseconds: whole(metrics.latencyMs),
    bytesIn: whole(metrics.bytesIn),
    bytesOut: whole(metrics.bytesOut),
    fuseRequests: sum(metrics.fuse.map(({ requests }) => requests)),
    fuseErrors: sum(metrics.fuse.map(({ errors }) => errors)),
    probes: whole(metrics.probes),
    probeFailures: whole(metrics.probeFailures),
    probeMilliseconds: whole(metrics.probeMs),
    reconnects: whole(metrics.reconnects),
    reconnectFailures: whole(metrics.reconnectFailures),
  }
}

function sum(numbers: readonly number[]): bigint {
  return whole(numbers.reduce((total, number) => total + number, 0))
}

function whole(number: number): bigint {
  return BigInt(Math.round(number))
}
