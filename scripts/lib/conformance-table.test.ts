import { expect, test } from 'vitest'
import { ConformanceTable } from './conformance-table.ts'

test('every check has a row, every provider and server a column', () => {
  const table = new ConformanceTable()
  table.add('conformance: s3 × Swift > names > plus', 'passed', undefined)
  table.add('conformance: s3 × MinIO > names > plus', 'failed', undefined)
  table.add('conformance: s3 × MinIO > folders > twins [lack: twins]', 'passed', undefined)
  table.add('conformance: webdav × nginx > all checks', 'skipped', 'there is no nginx')
  table.add('something else > names > plus', 'failed', undefined)
  expect(table.lines()).toEqual([
    'Conformance: every check on every provider and server; a lack is pinned and was shown to be one.',
    '  1  s3 × MinIO: 0 yes, 1 lack, 1 FAIL, 0 skip; lacks twins',
    '  2  s3 × Swift: 1 yes, 0 lack, 0 FAIL, 0 skip',
    '  3  webdav × nginx: 0 yes, 0 lack, 0 FAIL, 1 skip',
    '',
    '                 1    2    3',
    'names > plus     FAIL yes',
    'folders > twins  lack',
    'all checks                 skip',
    'skipped: webdav × nginx > all checks: there is no nginx',
  ])
})

test('a run without the suite prints nothing', () => {
  expect(new ConformanceTable().lines()).toEqual([])
})
