import { spawn } from 'node:child_process'
import { kill } from 'node:process'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/[\\/]$/, '')

export interface CommandResult {
  /** Exit code; null when a signal or the deadline ended it. */
  readonly code: number | null
  readonly timedOut: boolean
  /** stdout and stderr as they came, at most the last 256 KiB. */
  readonly output: string
}

export interface CommandOptions {
  readonly deadlineMs: number
  readonly env?: Readonly<Record<string, string>>
  /** Shown as it comes, besides being kept. */
  readonly onOutput?: (text: string) => void
}

const kept = 256 * 1024

/** Runs a command from the project's root in a process group of its own; at the deadline the whole group is ended. */
export async function runCommand(command: string, args: readonly string[], options: CommandOptions): Promise<CommandResult> {
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: process.platform !== 'win32',
    shell: process.platform === 'win32',
  })
  let output = ''
  const take = (text: string): void => {
    output = (output + text).slice(-kept)
    options.onOutput?.(text)
  }
  child.stdout.setEncoding('utf8').on('data', take)
  child.stderr.setEncoding('utf8').on('data', take)
  let timedOut = false
  const endGroup = (signal: NodeJS.Signals): void => {
    if (child.pid === undefined) return
    try {
      kill(process.platform === 'win32' ? child.pid : -child.pid, signal)
    } catch {
      // gone already
    }
  }
  const deadline = setTimeout(() => {
    timedOut = true
    endGroup('SIGTERM')
    setTimeout(() => {
      endGroup('SIGKILL')
      // Something outside the group may hold the pipes open: the answer does not wait for it.
      child.stdout.destroy()
      child.stderr.destroy()
    }, 5000).unref()
  }, options.deadlineMs)
  const onInterrupt = (): void => endGroup('SIGTERM')
  process.once('SIGINT', onInterrupt)
  const code = await new Promise<number | null>((resolve) => {
    child.once('error', (error) => {
      take(`${command}: ${error.message}\n`)
      resolve(127)
    })
    child.once('close', resolve)
  })
  clearTimeout(deadline)
  process.off('SIGINT', onInterrupt)
  return { code, timedOut, output }
}
