import { expect, it } from 'vitest'
import { parseMountInfo } from './left-mounts.ts'

const mountInfo = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
90 22 0:50 / /mnt/my\\040photos rw,nosuid,nodev shared:40 - fuse.cloudmoor cloudmoor:photos rw,user_id=0
91 22 0:51 / /mnt/other rw - fuse.sshfs ada@host:/ rw
92 22 0:52 / /mnt/plain rw - fuse cloudmoor:a\\134b rw
`

it('finds our mounts and undoes the escapes of the kernel', () => {
  expect(parseMountInfo(mountInfo)).toEqual([
    { path: '/mnt/my photos', name: 'photos' },
    { path: '/mnt/plain', name: 'a\\b' },
  ])
})
