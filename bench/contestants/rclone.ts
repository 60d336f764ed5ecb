import type { Contestant, Keys } from './contestant.ts'
import { childMount } from './child-mount.ts'

/** rclone in full cache mode; uploads begin a second after the last close, as for CloudMoor here. */
export function rclone(program: string, folder: string, keys: Keys): Contestant {
  return {
    name: 'rclone',
    prepare: ({ bucket, readOnly, endpoint }) =>
      childMount(folder, {
        program,
        args: (path, cache) => [
          'mount',
          `:s3:${bucket}`,
          path,
          ...['--vfs-cache-mode', 'full', '--cache-dir', cache, '--vfs-write-back', '1s'],
          ...(readOnly ? ['--read-only'] : []),
        ],
        env: {
          RCLONE_CONFIG: '/dev/null',
          RCLONE_S3_PROVIDER: 'Minio',
          RCLONE_S3_ENDPOINT: endpoint,
          RCLONE_S3_ACCESS_KEY_ID: keys.accessKeyId,
          RCLONE_S3_SECRET_ACCESS_KEY: keys.secretAccessKey,
        },
      }),
    close: async () => undefined,
  }
}
