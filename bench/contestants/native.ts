import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Contestant, Prepared } from './contestant.ts'

/** The local disk: a folder with the same files. @param data folder that has one for each bucket that is filled */
export function native(folder: string, data: string, filled: ReadonlySet<string>): Contestant {
  let made = 0
  return {
    name: 'native',
    async prepare({ bucket }): Promise<Prepared> {
      const path = filled.has(bucket) ? join(data, bucket) : join(folder, `native-${made++}`)
      await mkdir(path, { recursive: true })
      const nothing = async (): Promise<void> => undefined
      const nobody = async (): Promise<readonly number[]> => []
      return {
        path,
        start: nothing,
        stop: nothing,
        pids: nobody,
        sharedPids: nobody,
        dispose: () => (filled.has(bucket) ? nothing() : rm(path, { recursive: true, force: true })),
      }
    },
    close: async () => undefined,
  }
}
