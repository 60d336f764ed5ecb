import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Native } from '../../src-service/common/native/native.ts'

const watchdogSeconds = 30
const callSeconds = 10
const stripTypes = ['--experimental-strip-types', '--disable-warning=ExperimentalWarning']

export interface TestMount {
  readonly path: string
  readonly fuseFd: number
  readonly memoryFd: number
  /** Runs a program that touches the mount, never this process: its call would wait for an answer that it has to give itself. */
  run(command: string, ...args: string[]): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>
  end(): Promise<void>
}

/** A mount whose connection is aborted by a process outside after 30 s, so that a failing test cannot hang anybody. */
export async function testMount(native: Native): Promise<TestMount> {
  const path = mkdtempSync(join(tmpdir(), 'cloudmoor-door-'))
  const fuseFd = await native.mountDirect(path, { source: 'cloudmoor:test', allowOther: false, readOnly: false, maxRead: 1 << 20 })
  const memoryFd = native.createRequestMemory({ slabCount: 8, slabSize: (1 << 20) + 4096, slotCount: 64, slotSize: 4096 })
  // -f aborts the connection first; -i and -c keep umount from asking the mount anything.
  const script = 'sleep "$1" && umount -f -i -c "$2"'
  const watchdog = spawn('sh', ['-c', script, 'sh', String(watchdogSeconds), path], { stdio: 'ignore', detached: true })
  return {
    path,
    fuseFd,
    memoryFd,
    run: (command, ...args) => runProgram(command, args),
    end: async () => {
      await native.unmount(path, 2).catch(() => undefined)
      native.closeFd(fuseFd)
      native.closeFd(memoryFd)
      if (watchdog.exitCode === null && watchdog.pid !== undefined) process.kill(-watchdog.pid) // its group: the shell and its sleep
      rmSync(path, { recursive: true, force: true })
    },
  }
}

function runProgram(command: string, args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(command, args, { timeout: callSeconds * 1000, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, stdout, stderr })
    })
  })
}

export interface Program {
  readonly child: ChildProcess
  /** The next line of its output that begins with `start`; rejects when it ends first. */
  line(start: string): Promise<string>
}

/** A TypeScript program with the mount's descriptors as 3 and 4. */
export function startProgram(mount: TestMount, file: string, ...args: string[]): Program {
  const child = spawn(process.execPath, [...stripTypes, file, ...args], {
    stdio: ['ignore', 'pipe', 'inherit', mount.fuseFd, mount.memoryFd],
  })
  const lines: string[] = []
  const waiting = new Set<() => void>()
  let ended = false
  const changed = () => {
    for (const look of waiting) look()
  }
  if (child.stdout !== null) {
    createInterface(child.stdout).on('line', (text) => {
      lines.push(text)
      changed()
    })
  }
  void once(child, 'exit').then(() => {
    ended = true
    changed()
  })
  return {
    child,
    line: (start) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const at = lines.findIndex((text) => text.startsWith(start))
          if (at < 0 && !ended) return
          waiting.delete(look)
          if (at < 0) reject(new Error(`${file} ended before it said "${start}"`))
          else resolve(lines.splice(at, 1)[0] ?? '')
        }
        waiting.add(look)
        look()
      }),
  }
}
