import { expect, test } from 'vitest'
import { descriptors } from '../../drive/connectors/manifest.ts'
import type { Descriptor } from '../../drive/connectors/connector.ts'
import { localFoldersOf, type RemoteRoot, remoteRootOf, rootsOverlap } from './remote-overlap.ts'

function descriptorOf(type: string): Descriptor {
  const found = descriptors.find((known) => known.type === type)
  if (found === undefined) throw new Error(`no ${type}`)
  return found
}

const local = (path: string, root = ''): RemoteRoot => remoteRootOf(descriptorOf('local'), { path }, root)
const s3 = (bucket: string, root = ''): RemoteRoot => remoteRootOf(descriptorOf('s3'), { bucket, endpoint: 'http://x' }, root)

test('folders above and below each other overlap, neighbours do not', () => {
  expect(rootsOverlap(s3('b'), s3('b', 'photos'))).toBe(true)
  expect(rootsOverlap(s3('b', 'photos/2025'), s3('b', 'photos'))).toBe(true)
  expect(rootsOverlap(s3('b', 'photos'), s3('b', 'photos2'))).toBe(false)
  expect(rootsOverlap(s3('b'), s3('c'))).toBe(false)
})

test('local folders are one account with paths', () => {
  expect(rootsOverlap(local('/srv/a'), local('/srv'))).toBe(true)
  expect(rootsOverlap(local('/srv', 'a'), local('/srv/a'))).toBe(true)
  expect(rootsOverlap(local('/srv/a'), local('/srv/b'))).toBe(false)
  expect(localFoldersOf(descriptorOf('local'), { path: '/srv/a' })).toEqual(['/srv/a'])
  expect(localFoldersOf(descriptorOf('s3'), { bucket: '/x' })).toEqual([])
})
