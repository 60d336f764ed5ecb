import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Contestant, Keys } from './contestant.ts'
import { childMount } from './child-mount.ts'

/** s3fs with a local cache. */
export function s3fs(program: string, folder: string, keys: Keys): Contestant {
  const passwords = join(folder, 's3fs-passwords')
  return {
    name: 's3fs',
    async prepare({ bucket, readOnly, endpoint }) {
      await writeFile(passwords, `${keys.accessKeyId}:${keys.secretAccessKey}\n`, { mode: 0o600 })
      return childMount(folder, {
        program,
        args: (path, cache) => [
          ...[bucket, path, '-f'],
          ...['-o', `url=${endpoint}`, '-o', 'use_path_request_style', '-o', `passwd_file=${passwords}`, '-o', `use_cache=${cache}`],
          ...(readOnly ? ['-o', 'ro'] : []),
        ],
        env: {},
      })
    },
    close: async () => undefined,
  }
}
