import { expect, test } from 'vitest'
import { isInside, mountedAt, parseMountTable, readMountTable } from './mount-table.ts'

const sample = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:52 / /home/me/My\\040Cloud rw,nosuid,nodev shared:9 master:2 - fuse.cloudmoor cloudmoor:my\\040s3 rw,user_id=1000
41 40 0:53 / /home/me/My\\040Cloud rw - tmpfs none rw
`

test('reads what the kernel writes', () => {
  const table = parseMountTable(sample)
  expect(table.map((entry) => entry.device)).toEqual(['8:1', '0:52', '0:53'])
  expect(table[1]).toEqual({ mountPoint: '/home/me/My Cloud', device: '0:52', type: 'fuse.cloudmoor', source: 'cloudmoor:my s3' })
})

test('the last mount on a path is the one that is seen', () => {
  expect(mountedAt(parseMountTable(sample), '/home/me/My Cloud')?.device).toBe('0:53')
  expect(mountedAt(parseMountTable(sample), '/home/me')).toBeUndefined()
})

test('a name that only begins alike is not inside', () => {
  expect(isInside('/a/b', '/a')).toBe(true)
  expect(isInside('/a', '/a')).toBe(true)
  expect(isInside('/ab', '/a')).toBe(false)
  expect(isInside('/ab', '/')).toBe(true)
})

test('this machine has a root', async () => {
  expect(mountedAt(await readMountTable(), '/')).toBeDefined()
})
