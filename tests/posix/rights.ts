/** Who may do what. Users: 100:200 owns, 101:200 is of the group, 102:202 is neither. */
import type { Case } from './table.ts'

const classes = [
  ['owner', '@100:200', 6],
  ['group', '@101:200', 3],
  ['other', '@102:202', 0],
] as const

/** Every permission of every class, for files: may it read, write, run? */
const onFiles = classes.flatMap(([who, as, shift]) =>
  [0, 1, 2, 3, 4, 5, 6, 7].map((bits): Case => {
    const mode = (bits << shift).toString(8).padStart(4, '0')
    const may = (bit: number): string => ((bits & bit) === 0 ? 'EACCES' : '0')
    return {
      name: `a file of mode ${mode}, ${who}`,
      steps: `put x text; chown x 100 200; chmod x ${mode}; ${as} open x r => ${may(4)}; ${as} open x w => ${may(2)}; ${as} access x x => ${may(1)}
        ; ${as} truncate x 4 => ${may(2)}; ${as} open x r|w|trunc => ${may(2)}`,
    }
  }),
)

/** And for folders: may it be listed, changed, entered? */
const onFolders = classes.flatMap(([who, as, shift]) =>
  [0, 1, 2, 3, 4, 5, 6, 7].map((bits): Case => {
    const mode = (bits << shift).toString(8).padStart(4, '0')
    const may = (bit: number): string => ((bits & bit) === bit ? '0' : 'EACCES')
    return {
      name: `a folder of mode ${mode}, ${who}`,
      steps: `mkdir x; put x/in text; mkdir x/sub; chown x 100 200; chmod x ${mode}; ${as} open x r|directory => ${may(4)}; ${as} stat x/in type => ${(bits & 1) === 0 ? 'EACCES' : 'file'}
        ; ${as} open x/new w|creat => ${may(3)}; ${as} mkdir x/dir => ${may(3)}; ${as} rename x/in x/on => ${may(3)}; ${as} rmdir x/sub => ${may(3)}
        ; ${as} symlink to x/link => ${may(3)}; ${as} mkfifo x/pipe => ${may(3)}`,
    }
  }),
)

/** Sticky folders: only the owners of the entry and of the folder may take names away. */
const sticky = (
  [
    ['the owner of the file', '@100:200', '0'],
    ['the owner of the folder', '@101:201', '0'],
    ['another user', '@102:202', 'EPERM'],
    ['root', '@0:0', '0'],
  ] as const
).flatMap(([who, as, result]) =>
  (['unlink x/a', 'rename x/a x/b', 'rename x/a y/a', 'rename y/o x/a'] as const).map(
    (call): Case => ({
      name: `sticky folder, ${who}: ${call}`,
      steps: `mkdir x; chown x 101 201; chmod x 01777; mkdir y 0777; chmod y 0777; put x/a text; chown x/a 100 200; put y/o text; chmod y/o 0666; ${as} ${call} => ${result}`,
    }),
  ),
)

const x = 'put x text; chown x 100 200; chmod x'

const single: readonly (readonly [string, string])[] = [
  [
    'chmod by another user',
    `${x} 0666; @102:202 chmod x 0777 => EPERM; @101:200 chmod x 0777 => EPERM; @100:200 chmod x 0600; stat x mode => 0600`,
  ],
  ['chown to another user', `${x} 0666; @100:200 chown x 101 -1 => EPERM; @102:202 chown x 102 -1 => EPERM; @100:200 chown x 100 200`],
  ['chgrp to a foreign group', `${x} 0666; @100:200 chown x -1 202 => EPERM; @102:202 chown x -1 202 => EPERM`],
  ['chown of nothing is for everybody', `${x} 0666; @102:202 chown x -1 -1`],
  ['chown takes set-id bits away', `${x} 06755; @100:200 chown x 100 200; stat x mode => 0755`],
  ['chown by root takes set-id bits away too', `${x} 06755; chown x 1 1; stat x mode => 0755`],
  ['chown leaves a folder its bits', 'mkdir x; chmod x 06755; chown x 1 1; stat x mode => 6755'],
  ['chown of a FIFO takes its set-id bits away', 'mkfifo x; chmod x 06755; chown x 1 1; stat x mode => 0755'],
  ['chown keeps set-gid without group execution', `${x} 02644; chown x 1 1; stat x mode => 2644`],
  ['chmod by one outside the group takes set-gid away', `${x} 0644; chown x 100 202; @100:200 chmod x 02755; stat x mode => 0755`],
  ['a write takes set-id bits away', `${x} 06777; @102:202 keep 0 x w; @102:202 write 0 a => 1; stat x mode => 0777`],
  ['a write by root leaves them', `${x} 06777; keep 0 x w; write 0 a => 1; stat x mode => 6777`],
  ['a truncation takes set-id bits away', `${x} 06777; @102:202 truncate x 1; stat x mode => 0777`],
  ['opening with O_TRUNC takes set-id bits away', `${x} 06777; @102:202 open x w|trunc; stat x mode => 0777`],
  ['times: now, by one who may write', `${x} 0666; @102:202 utimens x now now`],
  ['times: now, by one who may not', `${x} 0644; @102:202 utimens x now now => EACCES`],
  ['times: chosen, by one who may write', `${x} 0666; @102:202 utimens x 1 1 => EPERM`],
  ['times: one chosen, one now, by one who may write', `${x} 0666; @102:202 utimens x now 1 => EPERM`],
  ['times: chosen, by the owner', `${x} 0000; @100:200 utimens x 1 1; stat x mtime => 1.000000000`],
  ['times: nothing, by anybody', `${x} 0600; @102:202 utimens x omit omit`],
  ['a new file belongs to its maker', 'mkdir x; chmod x 0777; @102:202 open x/a w|creat 0666; stat x/a uid,gid,mode => 102,202,0644'],
  ['a new folder belongs to its maker', 'mkdir x; chmod x 0777; @102:202 mkdir x/a 0777; stat x/a uid,gid,mode => 102,202,0755'],
  ['a new link belongs to its maker', 'mkdir x; chmod x 0777; @102:202 symlink to x/a; lstat x/a uid,gid => 102,202'],
  ['a new FIFO belongs to its maker', 'mkdir x; chmod x 0777; @102:202 mkfifo x/a 0666; lstat x/a uid,gid,mode => 102,202,0644'],
  ['set-gid folders give their group', 'mkdir x; chown x 100 200; chmod x 02777; @102:202 open x/a w|creat; stat x/a uid,gid => 102,200'],
  [
    'set-gid folders give it to folders, and the bit',
    'mkdir x; chown x 100 200; chmod x 02777; @102:202 mkdir x/a 0755; stat x/a gid,mode => 200,2755',
  ],
  [
    'set-gid files of a foreign group are made without the bit',
    'mkdir x; chown x 100 200; chmod x 02777; @102:202 open x/a w|creat 02775; stat x/a gid,mode => 200,0755',
  ],
  ['umask', 'umask 077; open a w|creat 0666; mkdir b 0777; mkfifo c 0666; stat a mode => 0600; stat b mode => 0700; stat c mode => 0600'],
  ['modes keep all twelve bits', 'open a w|creat; chmod a 07777; stat a mode => 7777; mkdir b; chmod b 07777; stat b mode => 7777'],
  [
    'O_CREAT with a mode that forbids writing',
    '@102:202 keep 0 new w|creat 0444; @102:202 write 0 abc => 3; @102:202 open new w => EACCES',
  ],
  ['devices are for root', '@102:202 mknod new c 0644 1 2 => EPERM; @102:202 mknod new b 0644 1 2 => EPERM; @102:202 mknod new p 0644 0 0'],
  [
    'a folder may be moved to another folder only by one who may write to it',
    'mkdir x; chown x 100 200; mkdir y; chmod y 0777; @102:202 rename x y/x => EACCES',
  ],
  [
    'moving a foreign folder between open folders',
    'mkdir v; chmod v 0777; mkdir w; chmod w 0777; mkdir v/x; @102:202 rename v/x w/x => EACCES; @102:202 rename v/x v/y',
  ],
  [
    'open handles outlive rights',
    '@102:202 keep 0 new rw|creat; chmod new 0000; @102:202 write 0 abc => 3; @102:202 pread 0 0 9 => abc; @102:202 open new r => EACCES',
  ],
  ['O_NOATIME is for owners', `${x} 0666; @102:202 open x r|noatime => EPERM; @100:200 open x r|noatime`],
]

export const rights: readonly Case[] = [
  ...onFiles,
  ...onFolders,
  ...sticky,
  ...single.map(([name, steps]): Case => ({ name, steps, bare: true })),
]
