import { Counter, Gauge, Registry } from '@prometheus-io/client'
import type { Mount } from '../../mounts/mount-manager-contract.ts'
import type { Sight } from '../../users/grants.ts'
import type { CallMetrics } from './call-metrics.ts'
import type { Sample } from './metric-samples.ts'

const states = ['initializing', 'mounted', 'reconciling', 'unmounted', 'failed'] as const

/** A sample in the text format of Prometheus, as far as the caller sees it. */
export async function prometheusText(
  sample: Sample,
  calls: CallMetrics,
  sight: Sight,
): Promise<{ readonly type: string; readonly text: string }> {
  const registry = new Registry()
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge<string>({ name: `cloudmoor_${name}`, help, labelNames, registers: [registry] })
  const counter = (name: string, help: string, labelNames: string[]) =>
    new Counter<string>({ name: `cloudmoor_${name}`, help, labelNames, registers: [registry] })
  addMounts(sample, sight, gauge)
  addWorkers(sample, sight, gauge, counter)
  if (sight.whole) addService(sample, calls, gauge, counter)
  return { type: registry.contentType, text: await registry.metrics() }
}

type MakeGauge = (name: string, help: string, labelNames?: string[]) => Gauge<string>
type MakeCounter = (name: string, help: string, labelNames: string[]) => Counter<string>

function seen({ mounts }: Sample, sight: Sight) {
  return mounts.filter(({ mount }) => sight.mount(mount.record.id))
}

function labelsOf({ record }: Mount) {
  return { mount: record.name, id: record.id }
}

function addMounts(sample: Sample, sight: Sight, gauge: MakeGauge): void {
  const labels = ['mount', 'id']
  const state = gauge('mount_state', 'Whether a mount is in a state', [...labels, 'state'])
  const condition = gauge('mount_condition', 'Conditions that limit a mount', [...labels, 'condition'])
  const queueFiles = gauge('queue_files', 'Files that the provider has not confirmed', labels)
  const queueBytes = gauge('queue_bytes', 'Bytes that the provider has not confirmed', labels)
  const parked = gauge('queue_parked', 'Files that were given up for now', labels)
  const uploading = gauge('transfers_running', 'Files that move right now', labels)
  const cacheBytes = gauge('cache_bytes', 'Bytes of local data', labels)
  const cacheLimit = gauge('cache_limit_bytes', 'Bound of the local data', labels)
  const dirty = gauge('cache_dirty_bytes', 'Bytes of local data that are not uploaded', labels)
  for (const { mount } of seen(sample, sight)) {
    const of = labelsOf(mount)
    const { queue, cache, conditions } = mount.status
    for (const name of states) state.set({ ...of, state: name }, mount.status.state === name ? 1 : 0)
    for (const { kind } of conditions) condition.set({ ...of, condition: kind }, 1)
    if (queue !== null) {
      queueFiles.set(of, queue.files)
      queueBytes.set(of, queue.bytes)
      parked.set(of, queue.parked)
      uploading.set(of, queue.uploading)
    }
    if (cache !== null) {
      cacheBytes.set(of, cache.bytes)
      cacheLimit.set(of, cache.limit)
      dirty.set(of, cache.dirtyBytes)
    }
  }
}

function addWorkers(sample: Sample, sight: Sight, gauge: MakeGauge, counter: MakeCounter): void {
  const labels = ['mount', 'id']
  const requests = counter('http_requests_total', 'Requests to the provider', [...labels, 'operation'])
  const errors = counter('http_errors_total', 'Failed requests to the provider', [...labels, 'kind'])
  const seconds = counter('http_seconds_total', 'Time that requests to the provider took', labels)
  const bytesIn = counter('http_received_bytes_total', 'Bytes of contents from the provider', labels)
  const bytesOut = counter('http_sent_bytes_total', 'Bytes of contents that the provider confirmed', labels)
  const fuse = counter('fuse_requests_total', 'Requests of the kernel', [...labels, 'operation'])
  const fuseErrors = counter('fuse_errors_total', 'Requests of the kernel answered with an error', [...labels, 'operation'])
  const fuseSeconds = counter('fuse_seconds_total', 'Time that requests of the kernel took', [...labels, 'operation'])
  const probes = counter('probes_total', 'Times that the provider was asked whether it answers', labels)
  const probeFailures = counter('probe_failures_total', 'Times that it did not', labels)
  const reconnects = counter('reconnect_attempts_total', 'Attempts to find a lost provider again', labels)
  const failures = counter('reconnect_failures_total', 'Failed attempts to find a lost provider again', labels)
  const probeSeconds = gauge('probe_seconds', 'Time that the last probe took', labels)
  for (const { mount, metrics } of seen(sample, sight)) {
    if (metrics === null) continue
    const of = labelsOf(mount)
    for (const [operation, count] of Object.entries(metrics.requests)) requests.inc({ ...of, operation }, count)
    for (const [kind, count] of Object.entries(metrics.errors)) errors.inc({ ...of, kind }, count)
    seconds.inc(of, metrics.latencyMs / 1000)
    bytesIn.inc(of, metrics.bytesIn)
    bytesOut.inc(of, metrics.bytesOut)
    for (const { name, requests: count, errors: failed, milliseconds } of metrics.fuse) {
      fuse.inc({ ...of, operation: name }, count)
      fuseErrors.inc({ ...of, operation: name }, failed)
      fuseSeconds.inc({ ...of, operation: name }, milliseconds / 1000)
    }
    probes.inc(of, metrics.probes)
    probeFailures.inc(of, metrics.probeFailures)
    reconnects.inc(of, metrics.reconnects)
    failures.inc(of, metrics.reconnectFailures)
    probeSeconds.set(of, metrics.probeMs / 1000)
  }
}

function addService({ memoryBytes }: Sample, calls: CallMetrics, gauge: MakeGauge, counter: MakeCounter): void {
  gauge('memory_bytes', 'Resident memory of the service').set(memoryBytes)
  gauge('api_streams', 'Streams that are open').set(calls.openStreams)
  const total = counter('api_calls_total', 'Calls of the API', ['method', 'outcome'])
  const seconds = counter('api_seconds_total', 'Time that calls of the API took', ['method'])
  for (const { method, outcome, count, milliseconds } of calls.list()) {
    total.inc({ method, outcome }, count)
    seconds.inc({ method }, milliseconds / 1000)
  }
}
