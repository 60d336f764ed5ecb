/** A clock that a test sets, for a service and its workers alone: programs of a mount namespace of their own are told another time of day. */
import { mkdir, writeFile } from 'node:fs/promises'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { run, shell } from '../support/installation.ts'

export interface SetClock {
  /** Words before a command that make it and what it starts run by this clock. */
  readonly wrapper: readonly string[]
  /** Sets it so many seconds before (negative) or after the true time. It goes on from there. */
  set(seconds: number): Promise<void>
}

/** Workers get nothing of the service's environment: what is preloaded stands in /etc, in a layer above the machine's own. */
const script = `mount -t overlay -o "lowerdir=$0:/etc" clock /etc; exec "$@"`

/** Why there can be none here; null = there can. */
export async function whyNoClock(): Promise<string | null> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'only root of Linux gives programs a clock of their own'
  const { code, stderr } = await run('unshare', ['--mount', '--propagation', 'slave', '/bin/sh', '-euc', script, '/usr', 'true'])
  return code === 0 ? null : `no mount namespace with an overlay: ${stderr.trim()}`
}

/** @param folder where its files go */
export async function makeClock(folder: string): Promise<SetClock> {
  const [file, library, layer] = [join(folder, 'clock'), join(folder, 'set-clock.so'), join(folder, 'etc')]
  await mkdir(layer)
  const write = async (seconds: number) => {
    const bytes = new BigInt64Array([BigInt(seconds)])
    // In place: programs have it mapped.
    await using handle = await open(file, 'r+')
    await handle.write(new Uint8Array(bytes.buffer), 0, 8, 0)
  }
  await writeFile(file, new Uint8Array(8))
  await shell(
    `cc -shared -fPIC -O1 -Wall -Werror -DOFFSET_FILE='"${file}"' -o "${library}" "${join(import.meta.dirname, 'set-clock.c')}" -ldl`,
  )
  await writeFile(join(layer, 'ld.so.preload'), `${library}\n`)
  return {
    wrapper: ['unshare', '--mount', '--propagation', 'slave', '/bin/sh', '-euc', script, layer],
    set: write,
  }
}
