import type { Filesystem } from '../../src-service/drive/vfs/filesystem.ts'

/** The file system with some of its methods replaced. */
export function changed(filesystem: Filesystem, changes: Partial<Filesystem>): Filesystem {
  return new Proxy(filesystem, {
    get(target, name): unknown {
      if (Reflect.has(changes, name)) return Reflect.get(changes, name) as unknown
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}
