import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Installation } from '../../tests/support/installation.ts'
import type { Contestant, Keys, Prepared } from './contestant.ts'

/** A service of its own, driven through the command line; a new account, mount and worker for each trial. */
export async function cloudmoor(folder: string, keys: Keys): Promise<Contestant> {
  const place = join(folder, 'cloudmoor')
  await mkdir(place)
  const installation = await Installation.create({ folder: place })
  let made = 0
  return {
    name: 'CloudMoor',
    async prepare({ bucket, readOnly, endpoint }): Promise<Prepared> {
      const name = `bench-${made++}`
      const path = join(place, name)
      const cache = join(place, `${name}-cache`)
      await mkdir(path)
      const set = { preset: 'minio', endpoint, accessKeyId: keys.accessKeyId, bucket }
      await installation.account(name, { type: 's3', set, secrets: { secretAccessKey: keys.secretAccessKey } })
      const flags = ['--cache-dir', cache, '-o', 'writeBackSeconds=1', ...(readOnly ? ['--read-only'] : [])]
      await installation.cloudmoor(['mount', 'add', name, '--provider', name, '--path', path, ...flags])
      const stop = async (): Promise<void> => {
        await installation.attempt(['unmount', name, '--force'], { timeoutMs: 60_000 })
      }
      return {
        path,
        async start() {
          await installation.cloudmoor(['mount', name])
          await readdir(path)
        },
        stop,
        pids: async () => [(await installation.mountStatus(name)).pid],
        sharedPids: async () => {
          const workers = await installation.workerPids()
          return (await installation.pids()).filter((pid) => !workers.includes(pid))
        },
        async dispose() {
          await stop()
          await installation.attempt(['mount', 'remove', name, '--wait', '60s'], { timeoutMs: 90_000 })
          await rm(path, { recursive: true, force: true })
          await rm(cache, { recursive: true, force: true })
        },
      }
    },
    close: () => installation[Symbol.asyncDispose](),
  }
}
