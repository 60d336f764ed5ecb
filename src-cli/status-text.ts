import type { Output } from './output.ts'
import { colour, facts, safe, table } from './output.ts'
import { counted, formatSize } from './sizes.ts'
import type { MountView, QueueView } from './views.ts'

/** State and what limits it: `mounted`, `mounted, offline`. */
function stateText(output: Output, mount: MountView): string {
  const conditions = mount.conditions.map(({ kind, until }) =>
    until === null ? kind : `${kind === 'throttled' ? 'slowed' : kind} until ${clock(until)}`,
  )
  const text = [mount.state, ...conditions].join(', ')
  if (mount.state === 'failed') return colour(output, 'red', text)
  if (conditions.length > 0 || mount.queue.parked > 0) return colour(output, 'yellow', text)
  return mount.state === 'mounted' ? colour(output, 'green', text) : text
}

const clock = (iso: string): string => iso.slice(11, 19)

export function queueText(queue: QueueView): string {
  if (queue.files === 0) return '-'
  const parked = queue.parked === 0 ? '' : `, ${queue.parked} parked`
  return `${counted(queue.files, 'file')}, ${formatSize(queue.bytes)}${parked}`
}

export function mountTable(output: Output, mounts: readonly MountView[]): string {
  if (mounts.length === 0) return 'no mounts yet: cloudmoor mount add NAME --provider CONFIG --path DIR'
  const lines = table<MountView>(
    [
      { title: 'NAME', value: (mount) => safe(mount.name) },
      { title: 'STATE', value: (mount) => stateText(output, mount) },
      { title: 'PATH', value: (mount) => safe(mount.path) },
      { title: 'QUEUE', value: (mount) => queueText(mount.queue) },
      { title: 'CACHE', value: (mount) => `${formatSize(mount.cache.bytes)} of ${formatSize(mount.cache.limit)}` },
      { title: 'PID', value: (mount) => (mount.pid === null ? '-' : String(mount.pid)), align: 'right' },
    ],
    mounts,
  )
  const explained = mounts.flatMap(reasons)
  return (explained.length === 0 ? [lines] : [lines, '', ...explained]).join('\n')
}

/** What a condition that gives no reason asks for. */
const remedies: Readonly<Record<string, string>> = {
  'cache-full':
    'no room for more unsent data: wait for uploads, free space on the disk of the cache, or give the mount a larger --cache-size',
}

/** One line for everything that wants an explanation. */
function reasons(mount: MountView): string[] {
  const name = safe(mount.name)
  return [
    ...(mount.reason === '' ? [] : [`${name}: ${safe(mount.reason)}`]),
    ...mount.conditions
      .map(({ kind, reason }) => ({ kind, reason: reason === '' ? (remedies[kind] ?? '') : safe(reason) }))
      .filter(({ reason }) => reason !== '')
      .map(({ kind, reason }) => `${name}: ${kind}: ${reason}`),
    ...(mount.queue.parked === 0 ? [] : [`${name}: ${counted(mount.queue.parked, 'file')} parked, waiting for you: cloudmoor transfers`]),
    ...(mount.hidden === 0 ? [] : [`${name}: ${counted(mount.hidden, 'remote object')} hidden, having no name that a folder can show`]),
  ]
}

export function mountDetails(output: Output, mount: MountView, provider: string): string {
  const lines = facts([
    ['Name', safe(mount.name)],
    ['State', stateText(output, mount)],
    ['Path', safe(mount.path)],
    ['Provider', safe(provider)],
    ['Remote', mount.remote === '' ? '(root)' : safe(mount.remote)],
    ['Worker', mount.pid === null ? '-' : String(mount.pid)],
    ['Queue', queueText(mount.queue)],
    ['Cache', `${formatSize(mount.cache.bytes)} of ${formatSize(mount.cache.limit)}, ${formatSize(mount.cache.dirtyBytes)} unsent`],
    ['Cache in', mount.cache.dir === '' ? undefined : safe(mount.cache.dir)],
    ['Access', mount.access + (mount.readOnly ? ', read-only' : '')],
    ...Object.entries(mount.options).map(
      ([key, value]) => [`  ${key}`, typeof value === 'string' ? value : JSON.stringify(value)] as const,
    ),
    ['Kept in', mount.managedFile === '' ? undefined : safe(mount.managedFile)],
    ['Id', mount.id],
  ])
  const explained = reasons(mount)
  return (explained.length === 0 ? [lines] : [lines, '', ...explained]).join('\n')
}
