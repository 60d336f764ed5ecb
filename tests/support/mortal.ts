import { type Disk, localDisk } from '../../src-service/drive/cache/blobs/disk.ts'
import type { Connector } from '../../src-service/drive/connectors/connector.ts'
import type { FakeCloud } from './fake-cloud.ts'

const never = new Promise<never>(() => undefined)

/** The disk as a process sees it: what is begun after its death does not happen. */
export function mortalDisk(dead: { readonly yes: boolean }): Disk {
  const live = <T>(work: () => Promise<T>): Promise<T> => (dead.yes ? never : work().then((value) => (dead.yes ? never : value)))
  const disk = localDisk
  return {
    open: (path, create) => live(() => disk.open(path, create)),
    openToRead: (path) => live(() => disk.openToRead(path)),
    close: (fd) => disk.close(fd),
    read: (fd, target, offset, length, position) => live(() => disk.read(fd, target, offset, length, position)),
    write: (fd, data, offset, length, position) => live(() => disk.write(fd, data, offset, length, position)),
    makeNow: (path) => (dead.yes ? -1 : disk.makeNow(path)),
    writeNow: (fd, data, offset, length, position) => (dead.yes ? -1 : disk.writeNow(fd, data, offset, length, position)),
    truncate: (fd, size) => live(() => disk.truncate(fd, size)),
    datasync: (fd) => live(() => disk.datasync(fd)),
    syncFolder: () => live(() => Promise.resolve()),
    facts: (fd) => live(() => disk.facts(fd)),
    factsAt: (path) => live(() => disk.factsAt(path)),
    makeFolder: (path) => live(() => disk.makeFolder(path)),
    list: (path) => live(() => disk.list(path)),
    remove: (path) => live(() => disk.remove(path)),
    move: (from, to) => live(() => disk.move(from, to)),
    readText: (path) => live(() => disk.readText(path)),
    writeText: (path, text) => live(() => disk.writeText(path, text)),
    free: (path) => live(() => disk.free(path)),
    lock: () => Promise.resolve(() => undefined),
  }
}

/** The cloud as a process sees it: once the process is dead, no call of it ever returns. */
export function mortal(cloud: FakeCloud, dead: { readonly yes: boolean }): Connector {
  const live = async <T>(call: Promise<T>): Promise<T> => {
    try {
      const result = await call
      return dead.yes ? await never : result
    } catch (error) {
      if (dead.yes) await never
      throw error
    }
  }
  async function* liveChunks<T>(chunks: AsyncIterable<T>): AsyncIterable<T> {
    const iterator = chunks[Symbol.asyncIterator]()
    for (;;) {
      const step = await live(Promise.resolve(iterator.next()))
      if (step.done === true) return
      yield step.value
    }
  }
  return {
    type: cloud.type,
    capabilities: cloud.capabilities,
    check: () => live(cloud.check()),
    list: (folder, signal) => liveChunks(cloud.list(folder, signal)),
    stat: (place, type, signal) => live(cloud.stat(place, type, signal)),
    read: (place, start, end, rev, signal) => liveChunks(cloud.read(place, start, end, rev, signal)),
    write: (place, type, source, options, signal) => {
      const read: typeof source.read = (start, end, inner) => live(source.read(start, end, inner))
      return live(cloud.write(place, type, { size: source.size, read }, options, signal))
    },
    makeFolder: (place, posix, signal) => live(cloud.makeFolder(place, posix, signal)),
    remove: (place, type, precondition, signal) => live(cloud.remove(place, type, precondition, signal)),
    move: (from, to, type, precondition, replace, signal) => live(cloud.move(from, to, type, precondition, replace, signal)),
    copy: (from, to, rev, posix, target, signal) => live(cloud.copy(from, to, rev, posix, target, signal)),
    setAttributes: (place, type, posix, precondition, signal) => live(cloud.setAttributes(place, type, posix, precondition, signal)),
    abandon: (handle, signal) => live(cloud.abandon(handle, signal)),
    usage: () => live(cloud.usage()),
    close: () => cloud.close(),
  }
}
