import { clone } from '@bufbuild/protobuf'
import type { ServiceImpl } from '@connectrpc/connect'
import { CreateMountRequestSchema } from '../../../proto/gen/cloudmoor/v1/mount_pb.js'
import type { MountService } from '../../../proto/gen/cloudmoor/v1/mount_pb.js'
import { CloudError } from '../../common/errors.ts'
import type { MountManager } from '../mounts/mount-manager-contract.ts'
import { callerOf, sightOf } from './call.ts'
import type { SettingTable } from '../store/store.ts'
import type { CreateOnce } from './create-once.ts'
import { changeableMountFields, readMountPatch, readMountSpec, writeMount } from './mount-wire.ts'
import { pageOf } from './page.ts'
import { checkPlace } from './place-rules.ts'
import { checkMask, readDuration, readEtag, withoutFixed } from './wire-values.ts'

/** MountService in terms of `MountManager`. */
export function mountHandler(
  mounts: MountManager,
  once: CreateOnce,
  settings: Pick<SettingTable, 'get'>,
): ServiceImpl<typeof MountService> {
  return {
    listMounts: async (request, context) => {
      const sight = sightOf(context)
      const seen = (await mounts.list(context.signal)).filter(({ record }) => sight.mount(record.id))
      const { entries, nextPageToken } = pageOf(seen, (mount) => mount.record.name, request)
      return { mounts: entries.map(writeMount), nextPageToken }
    },

    getMount: async (request, { signal }) => ({ mount: writeMount(await mounts.get(request.id, signal)) }),

    createMount: async (request, context) => {
      const { signal } = context
      const spec = readMountSpec(request.mount ?? missing())
      await checkPlace(settings, callerOf(context), 'mountRoots', spec.path)
      await checkPlace(settings, callerOf(context), 'cacheRoots', spec.cacheDir)
      const comparable = clone(CreateMountRequestSchema, request)
      comparable.requestId = ''
      const id = await once.run('CreateMount', request.requestId, CreateMountRequestSchema, comparable, async (key) => {
        return (await mounts.create(spec, key, signal)).record.id
      })
      return { mount: writeMount(await mounts.get(id, signal)) }
    },

    updateMount: async (request, context) => {
      const { signal } = context
      const given = request.mount ?? missing()
      const stored = await mounts.get(given.id, signal)
      const { providerId, remoteRoot, cacheDir } = stored.record
      const paths = withoutFixed(request.updateMask?.paths ?? [], {
        provider_id: given.providerId === providerId,
        remote_root: given.remoteRoot === remoteRoot,
        cache_dir: given.cacheDir === cacheDir,
      })
      checkMask(paths, changeableMountFields)
      if (paths.includes('labels') && !sightOf(context).whole)
        throw new CloudError('permission', 'labels say which grants cover a mount: changing them needs a grant over all mounts')
      if (paths.includes('path')) await checkPlace(settings, callerOf(context), 'mountRoots', given.path)
      const patch = readMountPatch(given, paths, stored.record.options)
      return { mount: writeMount(await mounts.update(given.id, readEtag(given.etag), patch, signal)) }
    },

    removeMount: async (request, { signal }) => {
      const waitMs = request.waitTimeout === undefined ? 0 : readDuration(request.waitTimeout)
      await mounts.remove(request.id, readEtag(request.etag), { waitMs, park: request.park }, signal)
      return {}
    },

    startMount: async (request, { signal }) => ({ mount: writeMount(await mounts.start(request.id, signal)) }),

    stopMount: async (request, { signal }) => ({ mount: writeMount(await mounts.stop(request.id, request.force, signal)) }),
  }
}

function missing(): never {
  throw new CloudError('invalid', 'mount is missing')
}
