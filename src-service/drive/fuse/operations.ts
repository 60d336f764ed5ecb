import type { OpenOptions } from '../vfs/filesystem.ts'
import { errno } from './errno.ts'
import type { Operation, Responder } from './operation.ts'
import { fsyncFlag, opcodes, openRequestFlag, seekData, seekHole, writeFlag } from './protocol.ts'
import type { ReplyWriter } from './replies.ts'
import type { RequestReader } from './requests.ts'

type Serve = (respond: Responder, request: RequestReader) => void

/** Asked again after a crash. */
function question(name: string, least: number, serve: Serve): Operation {
  return { name, least, logged: false, answered: true, unsupported: errno.EOPNOTSUPP, serve }
}

/** Done once, whatever crashes. */
function change(name: string, least: number, serve: Serve): Operation {
  return { name, least, logged: true, answered: true, unsupported: errno.EOPNOTSUPP, serve }
}

/** ENOSYS tells the kernel not to ask again; only where it does nothing worse with it. */
function optional(operation: Operation): Operation {
  return { ...operation, unsupported: errno.ENOSYS }
}

function refused(name: string, number: number): Operation {
  return { name, least: 0, logged: false, answered: true, unsupported: number, serve: (respond) => respond.answer(number) }
}

function unanswered(name: string): Operation {
  return { name, least: 0, logged: false, answered: false, unsupported: errno.ENOSYS, serve: (respond) => respond.drop() }
}

const nothing = (reply: ReplyWriter): number => reply.nothing()

function openOptions(request: RequestReader, flagsAt: number, openFlagsAt: number): OpenOptions {
  return { flags: request.u32(flagsAt), killPrivileges: (request.u32(openFlagsAt) & openRequestFlag.killPrivileges) !== 0 }
}

const lookup = question('LOOKUP', 2, (respond) =>
  respond.ask(
    (fs, r) => fs.lookup(r.node, r.name(0)),
    (reply, found) => reply.entry(found),
  ),
)

const getattr = question('GETATTR', 0, (respond) =>
  respond.ask(
    (fs, r) => fs.getattr(r.node),
    (reply, attributes) => reply.attributes(attributes),
  ),
)

const setattr = change('SETATTR', 88, (respond) =>
  respond.change(
    (fs, r) => fs.setattr(r.caller(), r.node, r.attributeChange()),
    (reply, attributes) => reply.attributes(attributes),
  ),
)

const readlink = question('READLINK', 0, (respond) =>
  respond.ask(
    (fs, r) => fs.readlink(r.node),
    (reply, target) => reply.target(target),
  ),
)

const symlink = change('SYMLINK', 4, (respond) =>
  respond.change(
    (fs, r) => fs.symlink(r.caller(), r.node, ...r.nameAndTarget(0)),
    (reply, made) => reply.entry(made),
  ),
)

const mknod = change('MKNOD', 18, (respond) =>
  respond.change(
    (fs, r) => fs.mknod(r.caller(), r.node, r.name(16), r.u32(0), r.u32(4)),
    (reply, made) => reply.entry(made),
  ),
)

const mkdir = change('MKDIR', 10, (respond) =>
  respond.change(
    (fs, r) => fs.mkdir(r.caller(), r.node, r.name(8), r.u32(0) & 0o7777),
    (reply, made) => reply.entry(made),
  ),
)

const unlink = change('UNLINK', 2, (respond) => respond.change((fs, r) => fs.unlink(r.node, r.name(0)), nothing))

const rmdir = change('RMDIR', 2, (respond) => respond.change((fs, r) => fs.rmdir(r.node, r.name(0)), nothing))

function renameWith(name: string, namesAt: number, flagsOf: (request: RequestReader) => number): Operation {
  return change(name, namesAt + 4, (respond) =>
    respond.change((fs, r) => {
      const [from, to] = r.names(namesAt)
      return fs.rename(r.node, from, r.u64(0), to, flagsOf(r))
    }, nothing),
  )
}

const link = change('LINK', 10, (respond) =>
  respond.change(
    (fs, r) => fs.link(r.u64(0), r.node, r.name(8)),
    (reply, made) => reply.entry(made),
  ),
)

const open = question('OPEN', 8, (respond) =>
  respond.ask(
    (fs, r) => fs.open(r.node, openOptions(r, 0, 4)),
    (reply, opened) => reply.opened(opened),
    'metadata',
    (fs, opened) => fs.release(opened.fh),
  ),
)

const create = change('CREATE', 18, (respond) =>
  respond.change(
    (fs, r) => fs.create(r.caller(), r.node, r.name(16), r.u32(4) & 0o7777, openOptions(r, 0, 12)),
    (reply, created) => reply.created(created),
  ),
)

const write = question('WRITE', 40, (respond, request) => {
  const size = request.u32(16)
  const flags = request.u32(20)
  respond.ask(
    (fs, r) =>
      fs.write(r.handle(0), r.memory, r.dataPlace(40, size), size, r.position(8), {
        cached: (flags & writeFlag.cached) !== 0,
        killPrivileges: (flags & writeFlag.killPrivileges) !== 0,
      }),
    (reply, done) => reply.count(done),
    'none', // the data stays in its place until the file system is done with it, so no deadline may free it
  )
})

const statfs = question('STATFS', 0, (respond) =>
  respond.ask(
    (fs) => fs.statfs(),
    (reply, stats) => reply.statistics(stats),
  ),
)

const release = question('RELEASE', 24, (respond) => respond.ask((fs, r) => fs.release(r.handle(0)), nothing))

const flush = question('FLUSH', 24, (respond) => respond.ask((fs, r) => fs.flush(r.handle(0)), nothing))

const fsync = question('FSYNC', 16, (respond) =>
  respond.sync((fs, r, signal) => fs.fsync(r.handle(0), (r.u32(8) & fsyncFlag.dataOnly) !== 0, signal)),
)

const fsyncdir = question('FSYNCDIR', 16, (respond) => respond.sync((fs, r, signal) => fs.fsyncdir(r.node, signal)))

const syncfs = question('SYNCFS', 0, (respond) => respond.sync((fs, _request, signal) => fs.syncfs(signal)))

const opendir = question('OPENDIR', 8, (respond, { node }) =>
  respond.ask(
    (fs, r) => fs.opendir(r.node),
    (reply, fh) => reply.openedFolder(fh),
    'metadata',
    (fs) => fs.releasedir(node),
  ),
)

const releasedir = question('RELEASEDIR', 0, (respond) => respond.ask((fs, r) => fs.releasedir(r.node), nothing))

const getxattr = question('GETXATTR', 10, (respond, request) => {
  const room = request.u32(0)
  respond.ask(
    (fs, r) => fs.getxattr(r.node, r.attributeName(8).name),
    (reply, value) => reply.attributeValue(value, room),
  )
})

const listxattr = question('LISTXATTR', 8, (respond, request) => {
  const room = request.u32(0)
  respond.ask(
    (fs, r) => fs.listxattr(r.node),
    (reply, names) => reply.attributeValue(names, room),
  )
})

const setxattr = change('SETXATTR', 10, (respond) =>
  respond.change((fs, r) => {
    const { name, next } = r.attributeName(respond.setxattrSize)
    return fs.setxattr(r.node, name, r.bytes(next, r.u32(0)), r.u32(4))
  }, nothing),
)

const removexattr = change('REMOVEXATTR', 2, (respond) =>
  respond.change((fs, r) => fs.removexattr(r.node, r.attributeName(0).name), nothing),
)

const fallocate = change('FALLOCATE', 32, (respond) =>
  respond.change((fs, r) => fs.fallocate(r.handle(0), r.u32(24), r.position(8), r.position(16)), nothing, 'data'),
)

const lseek = question('LSEEK', 24, (respond, request) => {
  const whence = request.u32(16)
  if (whence !== seekData && whence !== seekHole) respond.answer(errno.EINVAL)
  else
    respond.ask(
      (fs, r) => fs.lseek(r.handle(0), r.position(8), whence),
      (reply, position) => (position < 0 ? -errno.ENXIO : reply.position(position)),
    )
})

/** Copying may take as long as fetching what is copied: the deadlines are those of the reads below. */
function copyWith(name: string, encode: (reply: ReplyWriter, copied: number) => number): Operation {
  return change(name, 56, (respond) =>
    respond.change((fs, r) => fs.copyFileRange(r.handle(0), r.position(8), r.handle(24), r.position(32), r.position(40)), encode, 'none'),
  )
}

const unknown = refused('UNKNOWN', errno.ENOSYS)

const operations: Readonly<Record<number, Operation>> = {
  [opcodes.lookup]: lookup,
  [opcodes.forget]: unanswered('FORGET'), // node ids are never reused, so lookups are not counted
  [opcodes.getattr]: getattr,
  [opcodes.setattr]: setattr,
  [opcodes.readlink]: readlink,
  [opcodes.symlink]: symlink,
  [opcodes.mknod]: mknod,
  [opcodes.mkdir]: mkdir,
  [opcodes.unlink]: unlink,
  [opcodes.rmdir]: rmdir,
  [opcodes.rename]: renameWith('RENAME', 8, () => 0),
  [opcodes.link]: link,
  [opcodes.open]: open,
  [opcodes.read]: question('READ', 20, (respond) => respond.read()),
  [opcodes.write]: write,
  [opcodes.statfs]: statfs,
  [opcodes.release]: release,
  [opcodes.fsync]: fsync,
  [opcodes.setxattr]: optional(setxattr),
  [opcodes.getxattr]: optional(getxattr),
  [opcodes.listxattr]: optional(listxattr),
  [opcodes.removexattr]: optional(removexattr),
  [opcodes.flush]: flush,
  [opcodes.init]: question('INIT', 16, (respond) => respond.init()),
  [opcodes.opendir]: opendir,
  [opcodes.readdir]: question('READDIR', 20, (respond) => respond.readdir(false)),
  [opcodes.releasedir]: releasedir,
  [opcodes.fsyncdir]: fsyncdir,
  [opcodes.getlk]: refused('GETLK', errno.ENOSYS), // locks are the kernel's own
  [opcodes.setlk]: refused('SETLK', errno.ENOSYS),
  [opcodes.setlkw]: refused('SETLKW', errno.ENOSYS),
  [opcodes.access]: refused('ACCESS', errno.ENOSYS), // default_permissions: the kernel checks
  [opcodes.create]: create,
  [opcodes.interrupt]: unanswered('INTERRUPT'), // the request goes on; EINTR is never answered
  [opcodes.bmap]: refused('BMAP', errno.ENOSYS),
  [opcodes.destroy]: question('DESTROY', 0, (respond) => respond.answer(0)),
  [opcodes.ioctl]: refused('IOCTL', errno.ENOTTY),
  [opcodes.poll]: refused('POLL', errno.ENOSYS), // files are always ready
  [opcodes.notifyReply]: unanswered('NOTIFY_REPLY'),
  [opcodes.batchForget]: unanswered('BATCH_FORGET'),
  [opcodes.fallocate]: fallocate,
  [opcodes.readdirplus]: question('READDIRPLUS', 20, (respond) => respond.readdir(true)),
  [opcodes.rename2]: renameWith('RENAME2', 16, (r) => r.u32(8)),
  [opcodes.lseek]: optional(lseek),
  [opcodes.copyFileRange]: copyWith('COPY_FILE_RANGE', (reply, copied) => reply.count(copied)),
  [opcodes.setupMapping]: refused('SETUPMAPPING', errno.ENOSYS),
  [opcodes.removeMapping]: refused('REMOVEMAPPING', errno.ENOSYS),
  [opcodes.syncfs]: syncfs,
  [opcodes.tmpfile]: refused('TMPFILE', errno.ENOSYS), // the kernel then says EOPNOTSUPP, and programs make a named file
  [opcodes.statx]: refused('STATX', errno.ENOSYS), // asked for birth times alone
  [opcodes.copyFileRange64]: copyWith('COPY_FILE_RANGE_64', (reply, copied) => reply.position(copied)),
  [opcodes.cuseInit]: refused('CUSE_INIT', errno.ENOSYS),
}

/** The row of an opcode; those that no kernel sends today are refused with ENOSYS. */
export function operationOf(opcode: number): Operation {
  return operations[opcode] ?? unknown
}
