import { readFile } from 'node:fs/promises'

/** Id of a local group; null = there is none of this name. */
export async function groupIdOf(name: string, file = '/etc/group'): Promise<number | null> {
  const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n')
  const id = lines.map((line) => line.split(':')).find(([group]) => group === name)?.[2]
  return id === undefined || !/^\d+$/.test(id) ? null : Number(id)
}
