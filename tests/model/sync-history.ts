import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Clock } from '../../src-service/common/clock.ts'
import { CloudError } from '../../src-service/common/errors.ts'
import { FakeCloud } from '../support/fake-cloud.ts'
import type { SyncRig } from '../support/sync-rig.ts'

export type Step =
  | {
      readonly kind:
        | 'write'
        | 'remove'
        | 'mkdir'
        | 'their-put'
        | 'their-drop'
        | 'their-mkdir'
        | 'refresh'
        | 'refresh-behind'
        | 'read'
        | 'chmod'
      readonly path: string
    }
  | { readonly kind: 'rename' | 'exchange' | 'link' | 'their-rename'; readonly path: string; readonly to: string }
  | { readonly kind: 'offline' | 'online' | 'crash' | 'drain' | 'pause' | 'resume' }
  | { readonly kind: 'run'; readonly turns: number }
  | { readonly kind: 'lose'; readonly done: boolean; readonly calls: number }
  /** The next changes get no answer, and are done so many ms later. */
  | { readonly kind: 'late'; readonly calls: number; readonly ms: number }

/** Some of these are there at first. */
export const firstFiles = ['d/a', 'd/s/b', 'e/b', 'a', 'd/b']

const folders = ['', 'd', 'e', 'd/s']
const place = fc.constantFrom('a', 'b', 'd/a', 'd/b', 'e/a', 'e/b', 'd/s/a', 'd/s/b', 'd', 'e', 'd/s', 's')
const kind = <const K extends string>(...kinds: K[]): fc.Arbitrary<K> => fc.constantFrom(...kinds)

export const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: kind('write'), path: place }) },
  { weight: 6, arbitrary: fc.record({ kind: kind('remove', 'remove', 'mkdir', 'read', 'chmod'), path: place }) },
  { weight: 6, arbitrary: fc.record({ kind: kind('rename', 'rename', 'rename', 'exchange', 'link'), path: place, to: place }) },
  { weight: 5, arbitrary: fc.record({ kind: kind('their-put', 'their-put', 'their-drop', 'their-mkdir'), path: place }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('their-rename'), path: place, to: place }) },
  { weight: 3, arbitrary: fc.record({ kind: kind('refresh', 'refresh-behind', 'refresh-behind'), path: fc.constantFrom(...folders) }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: kind('run'), turns: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 80 })) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: kind('lose'), done: fc.boolean(), calls: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: kind('late'), calls: fc.integer({ min: 1, max: 3 }), ms: fc.integer({ min: 1, max: 15 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: kind('offline', 'online', 'crash', 'crash', 'drain', 'pause', 'resume') }) },
)

export const clouds = {
  tree: () => new FakeCloud(),
  'flat keys': () => Object.assign(new FakeCloud({ move: 'object', realFolders: false }), { newRevs: true }),
  'object storage': () =>
    Object.assign(new FakeCloud({ move: 'object', realFolders: false, conditionalRemove: 'checked' }), { contentRevs: true }),
  'no moves': () => new FakeCloud({ move: 'none' }),
  'no moves, no copies, no times': () => new FakeCloud({ move: 'none', copy: false, posix: { mtime: false, setAttributes: false } }),
} as const

/** Seconds pass as tens of milliseconds. */
export function fastClock(): Clock {
  const started = Date.now()
  const factor = 100
  return {
    now: () => started + Math.round((Date.now() - started) * factor),
    monotonic: () => performance.now() * factor,
    after: (milliseconds, work) => {
      const timer = setTimeout(work, milliseconds / factor)
      return () => clearTimeout(timer)
    },
  }
}

export class History {
  readonly rig: SyncRig
  readonly cloud: FakeCloud
  /** Versions that must be found in the end. */
  readonly wanted = new Map<string, string>()
  #texts = 0
  #lose = { done: false, left: 0 }
  #late = { ms: 0, left: 0 }

  constructor(rig: SyncRig) {
    const { cloud } = rig
    this.cloud = cloud
    this.rig = rig
    cloud.pageSize = 2
    let calls = 0
    // Some calls take longer than others, so that they overtake one another.
    cloud.delay = async () => {
      for (let turn = (calls++ * 7) % 5; turn >= 0; turn--) await new Promise((resolve) => setImmediate(resolve))
    }
    cloud.late = () => {
      if (this.#late.left === 0) return undefined
      this.#late.left--
      const { ms } = this.#late
      return new Promise((resolve) => setTimeout(resolve, ms))
    }
    cloud.fault = ({ done, operation }) => {
      if (this.#lose.left === 0 || done !== this.#lose.done || operation === 'page') return undefined
      this.#lose.left--
      cloud.calls.push(`! lost ${done ? 'the answer of' : 'before'} ${operation}`)
      return new CloudError('timeout', 'no answer')
    }
  }

  /** What happened, call by call: timing is not repeated by a seed. */
  story(): string {
    return this.cloud.calls.join('\n')
  }

  async take(step: Step): Promise<void> {
    this.cloud.calls.push(`> ${JSON.stringify(step)}`)
    try {
      await this.#take(step)
    } catch (caught) {
      // What a program is refused is no concern of this test.
      if (CloudError.from(caught).kind === 'internal') throw caught
    }
  }

  async #take(step: Step): Promise<void> {
    const { rig, cloud } = this
    switch (step.kind) {
      case 'write': {
        const before = this.#seen(step.path)
        const text = this.#text(`ours ${step.path}`)
        await rig.write(step.path, text)
        this.#gone(before)
        this.wanted.set(text, `write ${step.path}`)
        return
      }
      case 'remove': {
        const before = this.#seen(step.path)
        rig.remove(step.path)
        this.#gone(before)
        return
      }
      case 'rename': {
        const before = this.#seen(step.to)
        const same = rig.findNode(step.path) === rig.findNode(step.to)
        rig.rename(step.path, step.to)
        if (!same) this.#gone(before)
        return
      }
      case 'exchange':
        if (!`${step.path}/`.startsWith(`${step.to}/`) && !`${step.to}/`.startsWith(`${step.path}/`)) rig.exchange(step.path, step.to)
        return
      case 'link':
        if (rig.findNode(step.path) !== 0 && rig.findNode(step.to) === 0 && this.#isFile(step.path)) rig.link(step.path, step.to)
        return
      case 'mkdir':
        rig.mkdir(step.path)
        return
      case 'chmod':
        rig.chmod(step.path, 0o600)
        return
      case 'read':
        await rig.read(step.path)
        return
      case 'refresh':
        await rig.refresh(step.path)
        return
      case 'refresh-behind':
        rig.refresh(step.path).catch(() => undefined)
        return
      case 'their-put':
      case 'their-drop':
      case 'their-mkdir':
      case 'their-rename':
        this.#others(step)
        return
      case 'offline':
        cloud.online = false
        return
      case 'online':
        cloud.online = true
        return
      case 'lose':
        this.#lose = { done: step.done, left: step.calls }
        return
      case 'late':
        this.#late = { ms: step.ms, left: step.calls }
        return
      case 'crash':
        await rig.crash()
        return
      case 'pause':
      case 'resume':
        rig.queue.pause(step.kind === 'pause')
        return
      case 'run':
        for (let turn = 0; turn < step.turns; turn++) await new Promise((resolve) => setImmediate(resolve))
        return
      case 'drain':
        await rig.queue.drain(AbortSignal.timeout(30))
    }
  }

  #others(step: Step & { readonly path: string }): void {
    const { objects } = this.cloud
    const real = this.cloud.capabilities.realFolders
    const isFolder = objects.has(`${step.path}/`)
    switch (step.kind) {
      case 'their-put': {
        const above = step.path
          .split('/')
          .slice(0, -1)
          .map((_, index, all) => all.slice(0, index + 1).join('/'))
        if (real && (isFolder || above.some((folder) => objects.has(folder)))) return
        this.#gone(objects.get(step.path)?.data.toString())
        const text = this.#text(`theirs ${step.path}`)
        this.cloud.put(step.path, text)
        this.wanted.set(text, `their put ${step.path}`)
        return
      }
      case 'their-drop':
        for (const [path, object] of objects) if (path === step.path || path.startsWith(`${step.path}/`)) this.#gone(object.data.toString())
        this.cloud.drop(step.path)
        return
      case 'their-mkdir':
        if (!step.path.includes('/') && !objects.has(step.path)) this.cloud.mkdir(step.path)
        return
      case 'their-rename': {
        const object = objects.get(step.path)
        if (object === undefined || !('to' in step) || step.to.includes('/') || objects.has(step.to) || objects.has(`${step.to}/`)) return
        objects.delete(step.path)
        objects.set(step.to, object)
        return
      }
      default:
    }
  }

  #isFile(path: string): boolean {
    return (this.rig.tree.needNode(this.rig.nodeAt(path)).mode & 0o170000) === 0o100000
  }

  #text(what: string): string {
    return `${what} #${++this.#texts}`
  }

  /** The version of a file that whoever changes it now has before him. */
  #seen(path: string): string | undefined {
    if (this.rig.findNode(path) === 0) return undefined
    const known = this.rig.known(path)
    if (known === undefined) return undefined
    return 'text' in known ? known.text : this.cloud.versions.get(known.rev)
  }

  #gone(text: string | undefined): void {
    if (text !== undefined) this.wanted.delete(text)
  }

  /** Lets everything come to rest and compares both sides. */
  async settle(): Promise<void> {
    const { rig, cloud } = this
    cloud.calls.push('> rest')
    cloud.online = true
    this.#lose.left = 0
    this.#late.left = 0
    rig.queue.pause(false)
    for (let round = 0; round < 6; round++) {
      rig.queue.retry('all')
      for (const until = Date.now() + 5000; rig.queue.conditions().length > 0 && Date.now() < until; )
        await new Promise((resolve) => setTimeout(resolve, 2))
      await rig.drain(8000)
      await rig.refreshAll()
      if (rig.queue.status().files === 0 && round > 0) break
    }
    assert.equal(rig.queue.status().files, 0)
    const ours = await rig.dump()
    const theirs = cloud.dump()
    const files = (all: Record<string, string>): Record<string, string> =>
      cloud.capabilities.realFolders ? all : Object.fromEntries(Object.entries(all).filter(([path]) => !path.endsWith('/')))
    const shown = Object.fromEntries(Object.entries(files(ours)).map(([path, text]) => [path.replaceAll(/ \((folder|file)\)/g, ''), text]))
    assert.deepEqual(shown, files(theirs), `here ${JSON.stringify(shown, null, 1)}, there ${JSON.stringify(files(theirs), null, 1)}`)
    assert.deepEqual(
      Object.keys(theirs).filter((path) => path.includes('.cloudmoor-swap-')),
      [],
    )
    const found = new Set(Object.values(theirs))
    for (const [text, how] of this.wanted) assert.ok(found.has(text), `${text} (${how}) is lost`)
    assert.deepEqual(
      rig.alerts.filter((alert) => alert.startsWith('upload-parked')),
      [],
    )
    this.#checkRows()
  }

  /** No row is left that says something of what is not there. */
  #checkRows(): void {
    assert.deepEqual(this.rig.lostBases(), [])
    const stray = this.rig.database.sql
      .prepare('SELECT * FROM remote WHERE NOT EXISTS (SELECT 1 FROM name WHERE name.remote = remote.id)')
      .all()
    assert.deepEqual(stray, [])
    const nodes = this.rig.database.sql
      .prepare('SELECT node.id FROM node WHERE id > 1 AND NOT EXISTS (SELECT 1 FROM name WHERE name.node = node.id)')
      .all()
    assert.deepEqual(nodes, [])
    const links = this.rig.database.sql
      .prepare(
        'SELECT node.id, node.nlink FROM node WHERE node.mode & 61440 <> 16384 AND node.nlink <> (SELECT count(*) FROM name WHERE name.node = node.id)',
      )
      .all()
    assert.deepEqual(links, [])
  }
}
