import { FakeCloud } from './fake-cloud.ts'
import { SyncRig, type SyncRigOptions } from './sync-rig.ts'

/** The rig and the cloud of the test that runs; `start` and `end` are for its beginning and its end. */
export let rig: SyncRig
export let cloud: FakeCloud

/** Operations of a connector that change something. */
export const changes = ['write', 'makeFolder', 'move', 'copy', 'remove', 'setAttributes']

export async function start(made: FakeCloud = new FakeCloud(), options: SyncRigOptions = {}): Promise<void> {
  cloud = made
  rig = await SyncRig.open(cloud, options)
  await rig.refresh()
}

export async function end(): Promise<void> {
  await rig.close()
}

/** Calls of these operations so far, with their paths. */
export function calls(...operations: string[]): string[] {
  return cloud.calls.filter((call) => operations.includes(call.split(' ')[0] ?? ''))
}
