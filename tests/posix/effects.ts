/** What calls do, seen by other calls. */
import type { Case } from './table.ts'

const big = 2 ** 41

const single: readonly (readonly [string, string])[] = [
  [
    'what was written is read',
    'keep 0 a rw|creat; write 0 hello => 5; pread 0 0 9 => hello; pread 0 3 9 => lo; pread 0 5 9 => {empty}; cat a => hello',
  ],
  ['a hole is zeros', 'keep 0 a rw|creat; pwrite 0 4 end => 3; pread 0 0 9 => ....end; stat a size => 7'],
  ['a file grown by truncate is zeros', 'put a abc; truncate a 6; cat a => abc...'],
  ['a file shrunk and grown again has zeros', 'put a abcdef; truncate a 2; truncate a 5; cat a => ab...'],
  ['ftruncate', 'keep 0 a rw|creat; write 0 abcdef => 6; ftruncate 0 3; cat a => abc; ftruncate 0 0; cat a => {empty}'],
  ['ftruncate of a handle for reading', 'put a abc; keep 0 a r; ftruncate 0 1 => EINVAL'],
  [
    'sizes below zero',
    'put a abc; truncate a -1 => EINVAL; keep 0 a rw; ftruncate 0 -1 => EINVAL; pwrite 0 -1 x => EINVAL; pread 0 -1 1 => EINVAL',
  ],
  [
    'handles are for what they were opened for',
    'put a abc; keep 0 a r; write 0 x => EBADF; keep 1 a w; read 1 1 => EBADF; keep 2 a path; read 2 1 => EBADF',
  ],
  [
    'O_APPEND writes at the end, wherever the handle is',
    'put a abc; keep 0 a rw|append; lseek 0 0 set => 0; write 0 de => 2; cat a => abcde; pwrite 0 0 f => 1; cat a => abcdef',
  ],
  ['two who append', 'keep 0 a w|creat|append; keep 1 a w|append; write 0 1 => 1; write 1 2 => 1; write 0 3 => 1; cat a => 123'],
  ['O_TRUNC empties', 'put a abc; open a w|trunc; stat a size => 0'],
  ['O_CREAT leaves what is there', 'put a abc; open a w|creat; cat a => abc'],
  ['another handle sees a write at once', 'keep 0 a rw|creat; keep 1 a r; write 0 abc => 3; pread 1 0 9 => abc; fstat 1 size => 3'],
  [
    'a file that was unlinked while open lives on',
    'keep 0 a rw|creat; write 0 abc => 3; unlink a; fstat 0 nlink,size => 0,3; pread 0 0 9 => abc; write 0 de => 2; fstat 0 size => 5; fchmod 0 0600; fstat 0 mode => 0600; list . => ._..',
  ],
  [
    'a new file may take the name of an unlinked one',
    'keep 0 a rw|creat; write 0 old => 3; unlink a; put a new; pread 0 0 9 => old; cat a => new',
  ],
  [
    'a file that was renamed while open',
    'keep 0 a rw|creat; write 0 abc => 3; rename a b; write 0 de => 2; cat b => abcde; fstat 0 nlink => 1',
  ],
  [
    'a file that was replaced while open lives on',
    'put a old; put b new; keep 0 a r; rename b a; pread 0 0 9 => old; fstat 0 nlink => 0; cat a => new',
  ],
  ['a folder that was removed while open', 'mkdir d; keep 0 d r|directory; rmdir d; fstat 0 nlink => 0'],
  ['a folder takes nothing after its removal', 'mkdir d; keep 0 d r|directory; rmdir d; mkdir d/x => ENOENT; open d/x w|creat => ENOENT'],
  [
    'hard links share bytes',
    'put a abc; link a b; keep 0 b w|append; write 0 d => 1; cat a => abcd; stat a nlink => 2; unlink a; cat b => abcd; stat b nlink => 1',
  ],
  ['a rename onto a hard link of the same file does nothing', 'put a abc; link a b; rename a b; stat a nlink => 2; cat b => abc'],
  [
    'a rename over a hard link takes one link away',
    'put a abc; link a b; put c new; rename c a; stat b nlink => 1; cat a => new; cat b => abc',
  ],
  ['exchange of a file and a folder', 'put a abc; mkdir d; put d/in x; renameat2 a d exchange; cat d => abc; cat a/in => x'],
  ['exchange of links of one file', 'put a abc; link a b; renameat2 a b exchange; stat a nlink => 2'],
  [
    'a folder does not go into itself',
    'mkdir d; mkdir d/e; rename d d/e/x => EINVAL; rename d d/x => EINVAL; renameat2 d d/e exchange => EINVAL; rename d/e d => ENOTEMPTY',
  ],
  [
    '. and .. are no names',
    'mkdir d; rmdir . => EINVAL; rmdir d/. => EINVAL; rmdir d/.. => ENOTEMPTY; rename . x => EBUSY; rename d/.. x => EBUSY; mkdir . => EEXIST; unlink . => EISDIR',
  ],
  [
    'links of folders',
    'mkdir d; stat d nlink => 2; mkdir d/e; stat d nlink => 3; mkdir d/f; stat d nlink => 4; rmdir d/e; stat d nlink => 3; rename d/f f; stat d nlink => 2',
  ],
  ['files count no links of folders', 'mkdir d; put d/a x; symlink x d/b; mkfifo d/c; stat d nlink => 2'],
  ['a replaced folder gives its link back', 'mkdir d; mkdir d/e; mkdir d/f; rename d/e d/f; stat d nlink => 3'],
  ['.. after a move to another folder', 'mkdir d; mkdir e; mkdir d/x; put e/here y; rename d/x e/x; cat e/x/../here => y'],
  [
    'a folder lists what is in it',
    'mkdir d; put d/a x; mkdir d/b; symlink x d/c; list d => ._.._a_b_c; unlink d/a; rename d/b d/z; list d => ._.._c_z',
  ],
  ['names of all bytes but / and NUL', 'put \\1\\2 x; put "*? y; put ☃ z; cat ☃ => z; list . => "*?_._.._\\1\\2_☃'],
  ['names are told apart by case', 'put a small; put A big; cat a => small; cat A => big'],
  [
    'a name of 255 bytes',
    'put {255} x; cat {255} => x; rename {255} a; cat a => x; mkdir {255}; rmdir {255}; symlink x {255}; unlink {255}',
  ],
  ['a long target', 'symlink {255}/{255}/{255} a; readlink a => {255}/{255}/{255}; lstat a size => 767'],
  ['a link to a link to a file', 'put a x; symlink a b; symlink b c; cat c => x; readlink c => b; unlink b; cat c => ENOENT'],
  ['O_CREAT through a link makes its target', 'symlink a b; open b w|creat; lstat a type => file; lstat b type => symlink'],
  ['O_EXCL does not go through a link', 'symlink a b; open b w|creat|excl => EEXIST; lstat a => ENOENT'],
  ['device numbers', 'mknod a c 0644 1 3; lstat a type,rdev => char,1:3; mknod b b 0600 259 70000; lstat b type,rdev => block,259:70000'],
  ['mknod makes plain files', 'mknod a f 0640 0 0; lstat a type,size,mode => file,0,0640'],
  [
    'times to the nanosecond',
    'put a x; utimens a 1.000000001 1700000000.999999999; stat a atime,mtime => 1.000000001,1700000000.999999999',
  ],
  ['times before 1970', 'put a x; utimens a -1.5 -100; stat a mtime => -100.000000000'],
  ['times after 2038', 'put a x; utimens a 5000000000 5000000001.25; stat a atime,mtime => 5000000000.000000000,5000000001.000000025'],
  [
    'a write makes the file later',
    'put a x; save 0 a m; save 1 a c; wait 15; keep 0 a w; write 0 y => 1; close 0; since 0 a m => later; since 1 a c => later',
  ],
  ['a write of nothing changes nothing', 'put a x; save 0 a m; wait 15; keep 0 a w; write 0 {empty} => 0; close 0; since 0 a m => same'],
  ['a read leaves the modification time', 'put a x; save 0 a m; save 1 a c; wait 15; cat a => x; since 0 a m => same; since 1 a c => same'],
  [
    'truncate makes the file later, also to the same size',
    'put a x; save 0 a m; wait 15; truncate a 1; since 0 a m => later; save 0 a m; wait 15; truncate a 5; since 0 a m => later',
  ],
  [
    'ftruncate to the same size makes it later',
    'put a x; keep 0 a rw; save 0 a m; save 1 a c; wait 15; ftruncate 0 1; since 0 a m => later; since 1 a c => later',
  ],
  [
    'chmod leaves the modification time',
    'put a x; save 0 a m; save 1 a c; wait 15; chmod a 0600; since 0 a m => same; since 1 a c => later',
  ],
  [
    'a link makes the file’s change time later, not its modification time',
    'put a x; save 0 a m; save 1 a c; wait 15; link a b; since 0 a m => same; since 1 a c => later; save 1 a c; wait 15; unlink b; since 1 a c => later',
  ],
  [
    'names that come and go make a folder later',
    'mkdir d; save 0 d m; save 1 d c; wait 15; put d/a x; since 0 d m => later; since 1 d c => later; save 0 d m; wait 15; unlink d/a; since 0 d m => later',
  ],
  [
    'a write in a file leaves its folder’s times',
    'mkdir d; put d/a x; save 0 d m; wait 15; keep 0 d/a w; write 0 y => 1; close 0; since 0 d m => same',
  ],
  [
    'a refused call changes no times',
    'mkdir d; put d/a x; save 0 d m; save 1 d/a c; wait 15; mkdir d/a => EEXIST; rmdir d => ENOTEMPTY; rename d/a d/b/c => ENOENT; since 0 d m => same; since 1 d/a c => same',
  ],
  [
    'a moved folder makes both parents later',
    'mkdir d; mkdir e; mkdir d/x; save 0 d m; save 1 e m; wait 15; rename d/x e/x; since 0 d m => later; since 1 e m => later',
  ],
  ['a set time stays through a move', 'put a x; utimens a 7 8; rename a b; stat b atime,mtime => 7.000000000,8.000000000'],
  [
    'a set time stays while the file is open for writing',
    'keep 0 a w|creat; write 0 x => 1; utimens a 7 8; stat a mtime => 8.000000000; close 0; stat a mtime => 8.000000000',
  ],
  [
    'SEEK_DATA and SEEK_HOLE',
    `keep 0 a rw|creat; pwrite 0 0 x => 1; lseek 0 0 data => 0; lseek 0 0 hole => 1; lseek 0 1 data => ENXIO; lseek 0 5 hole => ENXIO; lseek 0 1 hole => ENXIO`,
  ],
  [
    'seeking',
    'put a hello; keep 0 a rw; lseek 0 2 set => 2; read 0 9 => llo; lseek 0 -2 end => 3; read 0 1 => l; lseek 0 1 cur => 5; read 0 1 => {empty}; lseek 0 -9 set => EINVAL; lseek 0 9 end => 14; write 0 x => 1; stat a size => 15',
  ],
  [
    'fallocate grows',
    'keep 0 a rw|creat; fallocate 0 plain 0 100; stat a size => 100; fallocate 0 keep 0 1000; stat a size => 100; fallocate 0 plain 50 20; stat a size => 100',
  ],
  ['fallocate keeps what is there', 'put a hello; keep 0 a rw; fallocate 0 plain 0 8; cat a => hello...'],
  ['fallocate punches holes', 'put a hello; keep 0 a rw; fallocate 0 punch 1 3; cat a => h...o; fallocate 0 punch 3 100; cat a => h....'],
  ['fallocate zeroes', 'put a hello; keep 0 a rw; fallocate 0 zero 3 4; cat a => hel....'],
  [
    'fallocate of nothing, or below zero',
    'put a hello; keep 0 a rw; fallocate 0 plain 0 0 => EINVAL; fallocate 0 plain -1 5 => EINVAL; fallocate 0 plain 5 -1 => EINVAL; keep 1 a r; fallocate 1 plain 0 9 => EBADF',
  ],
  [
    'copy_file_range',
    'put a hello; keep 0 a r; keep 1 b rw|creat; copy 0 1 1 2 3 => 3; cat b => ..ell; copy 0 0 1 0 99 => 5; cat b => hello; copy 0 9 1 0 5 => 0',
  ],
  ['copy_file_range within a file', 'put a hello; keep 0 a rw; copy 0 0 0 10 5 => 5; cat a => hello.....hello; copy 0 0 0 2 5 => EINVAL'],
  [
    'copy_file_range with handles that may not',
    'put a hello; put b x; keep 0 a w; keep 1 b w; copy 0 0 1 0 5 => EBADF; keep 2 a r; keep 3 b r; copy 2 0 3 0 5 => EBADF; keep 4 b w|append; copy 2 0 4 0 5 => EBADF',
  ],
  ['stores through a mapping are written', 'put a hello; keep 0 a rw; map 0 1 EL; cat a => hELlo; pread 0 0 9 => hELlo'],
  [
    'a mapping sees writes',
    'put a hello; keep 0 a rw; peek 0 0 5 => hello; pwrite 0 0 J => 1; peek 0 0 5 => Jello; truncate a 3; truncate a 5; peek 0 0 5 => Jel..',
  ],
  [
    'fsync, fdatasync and syncfs',
    'keep 0 a rw|creat; write 0 x => 1; fsync 0; fdatasync 0; syncfs 0; mkdir d; keep 1 d r|directory; fsync 1; fdatasync 1; keep 2 a r; fsync 2',
  ],
  [
    'flock between handles',
    'put a x; keep 0 a rw; keep 1 a rw; flock 0 exclusive; flock 1 exclusive|try => EAGAIN; flock 0 none; flock 1 shared|try; flock 0 shared|try',
  ],
  [
    'record locks between processes',
    'put a hello; keep 0 a rw; lock 0 1 2; locked 0 0 9 => held; locked 0 3 9 => free; close 0; keep 0 a rw; locked 0 0 9 => free',
  ],
  ['a handle of a folder is not read', 'mkdir d; keep 0 d r|directory; read 0 1 => EISDIR; write 0 x => EBADF; ftruncate 0 0 => EINVAL'],
  ['fchmod and fchown', 'put a x; keep 0 a r; fchmod 0 0601; fchown 0 5 6; stat a mode,uid,gid => 0601,5,6'],
  ['a size far beyond the cache, sparse', `keep 0 a rw|creat; ftruncate 0 ${big}; stat a size => ${big}; ftruncate 0 3; cat a => ...`],
  ['sizes beyond what the kernel takes', 'keep 0 a rw|creat; ftruncate 0 0x7fffffffffffffff => EFBIG'],
  ['a closed handle', 'keep 0 a rw|creat; close 0; close 0 => EBADF'],
]

export const effects: readonly Case[] = single.map(([name, steps]) => ({ name, steps, bare: true }))
