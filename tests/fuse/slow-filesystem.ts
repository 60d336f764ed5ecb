import { setTimeout as sleep } from 'node:timers/promises'
import type { Filesystem } from '../../src-service/drive/vfs/filesystem.ts'

/**
 * The same file system, but everything that may be asked of a cloud is answered later.
 * @param delay milliseconds before each answer; 0 = the next turn of the loop.
 */
export function slowly(fs: Filesystem, delay: () => number): Filesystem {
  const later = async <T>(call: () => T | Promise<T>): Promise<T> => {
    await sleep(delay())
    return call()
  }
  return {
    entryTtlMs: fs.entryTtlMs,
    lookup: (parent, name) => later(() => fs.lookup(parent, name)),
    getattr: (node) => later(() => fs.getattr(node)),
    setattr: (caller, node, change) => later(() => fs.setattr(caller, node, change)),
    readlink: (node) => later(() => fs.readlink(node)),
    mknod: (caller, parent, name, mode, rdev) => later(() => fs.mknod(caller, parent, name, mode, rdev)),
    mkdir: (caller, parent, name, mode) => later(() => fs.mkdir(caller, parent, name, mode)),
    symlink: (caller, parent, name, target) => later(() => fs.symlink(caller, parent, name, target)),
    link: (node, parent, name) => later(() => fs.link(node, parent, name)),
    unlink: (parent, name) => later(() => fs.unlink(parent, name)),
    rmdir: (parent, name) => later(() => fs.rmdir(parent, name)),
    rename: (parent, name, newParent, newName, flags) => later(() => fs.rename(parent, name, newParent, newName, flags)),
    open: (node, options) => later(() => fs.open(node, options)),
    create: (caller, parent, name, mode, options) => later(() => fs.create(caller, parent, name, mode, options)),
    readNow: () => -1,
    read: (fh, offset, length, target, at, signal) => later(() => fs.read(fh, offset, length, target, at, signal)),
    write: (fh, data, at, length, position, how) => later(() => fs.write(fh, data, at, length, position, how)),
    flush: (fh) => later(() => fs.flush(fh)),
    fsync: (fh, dataOnly, signal) => later(() => fs.fsync(fh, dataOnly, signal)),
    release: (fh) => later(() => fs.release(fh)),
    fallocate: (fh, mode, offset, length) => later(() => fs.fallocate(fh, mode, offset, length)),
    copyFileRange: (from, fromAt, to, toAt, length) => later(() => fs.copyFileRange(from, fromAt, to, toAt, length)),
    lseek: (fh, offset, whence) => later(() => fs.lseek(fh, offset, whence)),
    opendir: (node) => later(() => fs.opendir(node)),
    releasedir: (node) => fs.releasedir(node),
    readdir: (node, offset, emit) => later(() => fs.readdir(node, offset, emit)),
    fsyncdir: (node, signal) => later(() => fs.fsyncdir(node, signal)),
    statfs: () => fs.statfs(),
    syncfs: (signal) => later(() => fs.syncfs(signal)),
    getxattr: (node, name) => later(() => fs.getxattr(node, name)),
    listxattr: (node) => later(() => fs.listxattr(node)),
    setxattr: (node, name, value, flags) => later(() => fs.setxattr(node, name, value, flags)),
    removexattr: (node, name) => later(() => fs.removexattr(node, name)),
  }
}
