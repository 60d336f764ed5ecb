import { describe, expect, test } from 'vitest'
import { FakeCloud } from '../../../../tests/support/fake-cloud.ts'
import { fileType, type NameRow, type NodeRow, type RemoteRow } from '../tree.ts'
import { decide, type Occupant, type Situation } from './decide.ts'

const node: NodeRow = {
  id: 10,
  ino: 10,
  mode: fileType.file | 0o644,
  uid: 0,
  gid: 0,
  rdev: 0,
  nlink: 1,
  size: 1,
  atime_s: 0,
  atime_n: 0,
  mtime_s: 0,
  mtime_n: 0,
  ctime_s: 0,
  ctime_n: 0,
  target: null,
  content: 2,
  attrs: 1,
  generation: 1,
  hot: 0,
  superseded: 0,
  pinned: 0,
  fault: null,
  listed_at: 0,
  changed_at: 0,
}
const name: NameRow = { id: 20, parent: 1, name: Buffer.from('a'), node: 10, remote: null }
const object: RemoteRow = {
  id: 30,
  parent: 1,
  name: Buffer.from('a'),
  shown: null,
  key: null,
  type: 'file',
  size: 1,
  mtime_s: 0,
  mtime_n: 0,
  rev: 'r',
  node: 10,
  content: 2,
  attrs: 1,
}
const { capabilities } = new FakeCloud()
const created: Situation = {
  name,
  node,
  remote: null,
  unsettled: false,
  folderThere: true,
  folderMoves: false,
  occupant: null,
  twin: null,
  quietUntil: 0,
  aside: false,
  capabilities,
}
const elsewhere = { ...object, name: Buffer.from('old') }
const folder: NodeRow = { ...node, mode: fileType.folder | 0o755 }
const folderObject: RemoteRow = { ...object, type: 'folder' }

function occupied(state: Occupant['state'], row: RemoteRow = { ...object, id: 31, node: 11 }): Partial<Situation> {
  return { occupant: { state, row } }
}

function decided(change: Partial<Situation>): string {
  const decision = decide({ ...created, ...change })
  const over = 'over' in decision && decision.over !== null ? ` over ${decision.over.id}` : ''
  return decision.kind === 'wait' ? `wait for ${decision.for}` : decision.kind + over
}

describe('the next step of a name', () => {
  test.each<[string, Partial<Situation>, string]>([
    ['a new file', {}, 'upload'],
    ['a new folder', { node: folder }, 'make-folder'],
    ['a try of unknown outcome comes first', { unsettled: true, folderThere: false, quietUntil: 9 }, 'probe'],
    ['its folder is not there yet', { folderThere: false }, 'wait for folder'],
    ['its folder is to be moved', { folderMoves: true }, 'wait for folder'],
    ['not quiet yet', { quietUntil: 99 }, 'quiet'],
    ['a folder needs no quiet', { node: folder, quietUntil: 99 }, 'make-folder'],
    [
      'a symlink where there is no place for them',
      { node: { ...node, mode: fileType.symlink }, capabilities: { ...capabilities, posix: { ...capabilities.posix, symlinks: false } } },
      'done',
    ],
    [
      'a FIFO where there is no place for them',
      { node: { ...node, mode: fileType.fifo }, capabilities: { ...capabilities, posix: { ...capabilities.posix, specialNodes: false } } },
      'done',
    ],
    ['a FIFO where there is', { node: { ...node, mode: fileType.fifo } }, 'upload'],
    ['a link to something uploaded', { twin: elsewhere }, 'copy'],
    ['a link to a FIFO, which has nothing to copy', { node: { ...node, mode: fileType.fifo }, twin: elsewhere }, 'upload'],
    ['a link where nothing can be copied', { twin: elsewhere, capabilities: { ...capabilities, copy: false } }, 'upload'],
    ['in place, nothing differs', { remote: object }, 'done'],
    ['in place under a suffix', { remote: { ...object, name: Buffer.from('raw'), shown: Buffer.from('a') } }, 'done'],
    ['in place, contents differ', { remote: { ...object, content: 1 } }, 'upload over 30'],
    ['in place, contents differ, not quiet yet', { remote: { ...object, content: 1 }, quietUntil: 99 }, 'quiet'],
    ['in place, attributes differ', { remote: object, node: { ...node, attrs: 2 } }, 'set-attributes'],
    [
      'in place, attributes differ, no place for them',
      {
        remote: object,
        node: { ...node, attrs: 2 },
        capabilities: { ...capabilities, posix: { ...capabilities.posix, setAttributes: false } },
      },
      'note-attributes',
    ],
    ['in place, attributes never asked for', { remote: { ...object, attrs: 0 } }, 'done'],
    ['a folder in place', { node: folder, remote: { ...folderObject, content: 1 } }, 'done'],
    ['moved', { remote: elsewhere }, 'move'],
    ['moved, not quiet, contents the same', { remote: elsewhere, quietUntil: 99 }, 'move'],
    ['moved and written to', { remote: { ...elsewhere, content: 1 } }, 'move'],
    [
      'moved and written to, where a move is a copy',
      { remote: { ...elsewhere, content: 1 }, capabilities: { ...capabilities, move: 'object' } },
      'upload',
    ],
    ['moved where there are only copies', { remote: elsewhere, twin: elsewhere, capabilities: { ...capabilities, move: 'none' } }, 'copy'],
    [
      'moved where there is nothing',
      { remote: elsewhere, twin: elsewhere, capabilities: { ...capabilities, move: 'none', copy: false } },
      'upload',
    ],
    ['a folder moved', { node: folder, remote: { ...folderObject, name: Buffer.from('old') } }, 'move'],
    ['to make room', { remote: elsewhere, aside: true, folderMoves: true }, 'move-aside'],
  ])('%s', (_what, change, expected) => {
    expect(decided(change)).toBe(expected)
  })
})

describe('what stands at the place', () => {
  test.each<[string, Partial<Situation>, string]>([
    ['something doomed is replaced', occupied('doomed'), 'upload over 31'],
    ['something doomed is replaced by a move', { ...occupied('doomed'), remote: elsewhere }, 'move over 31'],
    ['something doomed is replaced by a copy', { ...occupied('doomed'), twin: elsewhere }, 'copy over 31'],
    ['a doomed folder goes first', occupied('doomed', { ...folderObject, id: 31, node: 11 }), 'wait for place'],
    ['a doomed file goes before a folder', { ...occupied('doomed'), node: folder }, 'wait for place'],
    [
      'a doomed folder goes before a new one',
      { ...occupied('doomed', { ...folderObject, id: 31, node: 11 }), node: folder },
      'wait for place',
    ],
    ['our own object from before is taken back', occupied('doomed', object), 'take-back'],
    ['our own object, but older, is replaced', occupied('doomed', { ...object, content: 1 }), 'upload over 30'],
    ['what another name of ours has there goes first', occupied('bound'), 'wait for place'],
    ['what is perhaps ours is settled first', occupied('unsettled'), 'wait for place'],
    ['something of another client', occupied('theirs'), 'conflict'],
    ['something of another client, for a move', { ...occupied('theirs'), remote: elsewhere }, 'conflict'],
    ['a folder of another client where we made one', { ...occupied('theirs', folderObject), node: folder }, 'conflict'],
    ['a folder of ours waits for a name of ours', { ...occupied('bound'), node: folder }, 'wait for place'],
  ])('%s', (_what, change, expected) => {
    expect(decided(change)).toBe(expected)
  })
})
