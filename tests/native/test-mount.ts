import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
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
  const abort = `/sys/fs/fuse/connections/${connectionOf(path)}/abort`
  const watchdog = spawn('sh', ['-c', 'sleep "$1" && echo 1 > "$2"', 'sh', String(watchdogSeconds), abort], { stdio: 'ignore' })
  return {
    path,
    fuseFd,
    memoryFd,
    run: (command, ...args) => runProgram(command, args),
    end: async () => {
      await native.unmount(path, 2).catch(() => undefined)
      native.closeFd(fuseFd)
      native.closeFd(memoryFd)
      watchdog.kill()
      rmSync(path, { recursive: true, force: true })
    },
  }
}

function connectionOf(path: string): string {
  const line = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .find((each) => each.split(' ')[4] === path)
  const minor = line?.split(' ')[2]?.split(':')[1]
  if (minor === undefined) throw new Error(`${path} is not mounted`)
  return minor
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
