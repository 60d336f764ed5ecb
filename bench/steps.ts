/** What is measured, as data. */

/** One piece of work; sizes in bytes. The result's unit is the row's. */
export type Step =
  | { readonly do: 'read'; readonly file: string; readonly block: number }
  | { readonly do: 'write'; readonly file: string; readonly size: number; readonly block: number }
  | { readonly do: 'create'; readonly folder: string; readonly count: number; readonly size: number }
  | { readonly do: 'remove'; readonly folder: string }
  | { readonly do: 'read-many'; readonly readers: number }
  | { readonly do: 'list'; readonly folder: string }
  | { readonly do: 'absent'; readonly count: number; readonly distinct: boolean }
  | { readonly do: 'tail'; readonly file: string }
  | { readonly do: 'random'; readonly file: string; readonly count: number }
  | { readonly do: 'clone'; readonly source: string }
  | { readonly do: 'status' }
  | { readonly do: 'commits'; readonly count: number }
  | { readonly do: 'syncs'; readonly count: number }

/** What the bench itself does between steps. */
export type Move =
  | { readonly do: 'drop-caches' }
  /** A new mount of the same cache. */
  | { readonly do: 'remount' }
  /** Seconds from the end of the step before until the bucket holds so many objects; 0 objects: until it is empty. */
  | { readonly do: 'uploaded'; readonly objects: number }
  /** Seconds from the mount command to the end of a listing of its root. */
  | { readonly do: 'start' }
  /** MB of proportional memory of the processes that serve the mount, or all mounts; idle. */
  | { readonly do: 'memory'; readonly of: 'mount' | 'service' }

export interface Row {
  /** Unique; the key in results and in the baseline. */
  readonly id: string
  readonly title: string
  readonly unit: 'MB/s' | '/s' | 's' | 'ms' | 'MB'
  /** Issue figure to reach, at a distance of 0 ms unless `targetFar`. */
  readonly target?: number
  readonly targetFar?: number
  readonly work: Step | Move
  /** The native disk has no such thing. */
  readonly noNative?: true
}

/** Rows measured one after the other on one fresh mount. */
export interface Scenario {
  readonly name: string
  /** Files that the bucket holds before. */
  readonly data: 'big' | 'small' | 'listing' | 'nothing'
  readonly readOnly?: true
  /** Also at 25 ms. */
  readonly far: boolean
  /** Not run in a quick run. */
  readonly fullOnly?: true
  readonly rows: readonly (Row | Move)[]
}

export interface Sizes {
  readonly bigBytes: number
  readonly files: number
  readonly fileBytes: number
  readonly listed: number
  readonly looks: number
  readonly repositoryFiles: number
  readonly commits: number
}

export const fullSizes: Sizes = {
  bigBytes: 512 * 1024 * 1024,
  files: 1000,
  fileBytes: 16 * 1024,
  listed: 10_000,
  looks: 20_000,
  repositoryFiles: 2000,
  commits: 300,
}

/** Smaller, so that all of it takes minutes. */
export const quickSizes: Sizes = { ...fullSizes, bigBytes: 256 * 1024 * 1024, files: 300, listed: 2000, repositoryFiles: 200, commits: 50 }

/** Of what is listed: a mount is ready when its root was listed, so it lies one level below. */
export const listedFolder = 'all'

const kib = 1024
const mib = 1024 * 1024

/** All scenarios. @param repository a local one, to be cloned */
export function scenarios(sizes: Sizes, repository: string): readonly Scenario[] {
  const big = { do: 'read', file: 'big', block: mib } as const
  const drop: Move = { do: 'drop-caches' }
  const reading = (id: string, readOnly: boolean): readonly (Row | Move)[] => {
    const where = readOnly ? ', read-only' : ''
    return [
      {
        id: `${id}-cold`,
        title: `read ${sizes.bigBytes / mib} MiB cold${where}`,
        unit: 'MB/s',
        work: big,
        ...(readOnly ? {} : { target: 700 }),
      },
      drop,
      { id: `${id}-again`, title: `… again, page cache dropped${where}`, unit: 'MB/s', work: big, target: readOnly ? 2500 : 2000 },
      { id: `${id}-warm`, title: `… again, page cache warm${where}`, unit: 'MB/s', work: big, target: readOnly ? 15_000 : 8000 },
    ]
  }
  return [
    { name: 'read', data: 'big', far: true, rows: reading('read', false) },
    { name: 'read-only', data: 'big', readOnly: true, far: false, rows: reading('read-only', true) },
    {
      name: 'write',
      data: 'nothing',
      far: true,
      rows: [
        {
          id: 'write',
          title: `write ${sizes.bigBytes / mib} MiB + close, 1 MiB blocks`,
          unit: 'MB/s',
          target: 1500,
          work: { do: 'write', file: 'written', size: sizes.bigBytes, block: mib },
        },
        { id: 'write-sent', title: '… until in the bucket', unit: 's', noNative: true, work: { do: 'uploaded', objects: 1 } },
      ],
    },
    {
      name: 'write-128k',
      data: 'nothing',
      far: false,
      fullOnly: true,
      rows: [
        {
          id: 'write-128k',
          title: `write ${sizes.bigBytes / mib} MiB + close, 128 KiB blocks`,
          unit: 'MB/s',
          target: 900,
          work: { do: 'write', file: 'written', size: sizes.bigBytes, block: 128 * kib },
        },
      ],
    },
    {
      name: 'create',
      data: 'nothing',
      far: true,
      rows: [
        {
          id: 'create',
          title: `create ${sizes.files} × ${sizes.fileBytes / kib} KiB`,
          unit: '/s',
          target: 4000,
          work: { do: 'create', folder: 'made', count: sizes.files, size: sizes.fileBytes },
        },
        { id: 'create-sent', title: '… until in the bucket', unit: 's', noNative: true, work: { do: 'uploaded', objects: sizes.files } },
        { id: 'remove', title: 'rm -r of them', unit: '/s', target: 10_000, work: { do: 'remove', folder: 'made' } },
      ],
    },
    {
      name: 'small-1',
      data: 'small',
      far: true,
      rows: [
        {
          id: 'small-1',
          title: `read ${sizes.files} × ${sizes.fileBytes / kib} KiB cold, 1 reader`,
          unit: '/s',
          targetFar: 300,
          work: { do: 'read-many', readers: 1 },
        },
      ],
    },
    {
      name: 'small-8',
      data: 'small',
      far: true,
      rows: [{ id: 'small-8', title: '… 8 readers', unit: '/s', target: 2000, work: { do: 'read-many', readers: 8 } }],
    },
    {
      name: 'list',
      data: 'listing',
      far: true,
      rows: [
        { id: 'list', title: `ls -l of ${sizes.listed} cold`, unit: 's', work: { do: 'list', folder: listedFolder } },
        { id: 'list-again', title: '… again', unit: 's', work: { do: 'list', folder: listedFolder } },
        { do: 'remount' },
        { id: 'list-remount', title: '… after a remount', unit: 's', target: 0.2, work: { do: 'list', folder: listedFolder } },
      ],
    },
    {
      name: 'absent',
      data: 'nothing',
      far: false,
      rows: [
        {
          id: 'absent',
          title: 'stat of absent names, all different',
          unit: '/s',
          target: 30_000,
          work: { do: 'absent', count: sizes.looks, distinct: true },
        },
        {
          id: 'absent-again',
          title: '… the same ones again',
          unit: '/s',
          target: 150_000,
          work: { do: 'absent', count: sizes.looks, distinct: false },
        },
      ],
    },
    {
      name: 'git',
      data: 'nothing',
      far: false,
      rows: [
        {
          id: 'git-clone',
          title: `git clone of ${sizes.repositoryFiles} files`,
          unit: 's',
          target: 1.5,
          work: { do: 'clone', source: repository },
        },
        { id: 'git-status', title: 'git status after it', unit: 's', work: { do: 'status' } },
      ],
    },
    {
      name: 'sqlite',
      data: 'nothing',
      far: false,
      rows: [{ id: 'sqlite', title: 'SQLite commits', unit: '/s', target: 600, work: { do: 'commits', count: sizes.commits } }],
    },
    {
      name: 'tail',
      data: 'big',
      far: true,
      fullOnly: true,
      rows: [
        { id: 'tail', title: 'open and read the tail', unit: 'ms', work: { do: 'tail', file: 'big' } },
        { id: 'random', title: 'random 4 KiB cold', unit: '/s', work: { do: 'random', file: 'big', count: 200 } },
      ],
    },
    {
      name: 'start',
      data: 'small',
      far: false,
      rows: [
        { id: 'start', title: 'start to first listing', unit: 's', target: 0.15, noNative: true, work: { do: 'start' } },
        { id: 'memory', title: 'idle memory (PSS)', unit: 'MB', target: 60, noNative: true, work: { do: 'memory', of: 'mount' } },
        { id: 'memory-service', title: '… of the service', unit: 'MB', target: 80, noNative: true, work: { do: 'memory', of: 'service' } },
      ],
    },
  ]
}

export function isRow(part: Row | Move): part is Row {
  return 'id' in part
}

/** More is better. */
export function isRate(unit: Row['unit']): boolean {
  return unit === 'MB/s' || unit === '/s'
}
