import { spawn } from 'node:child_process'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { CloudError } from '../../common/errors.ts'

/** The keychain of the operating system. Everything rejects with `unavailable` or `timeout` (NO_KEYCHAIN) if there is none that answers. */
export interface Keychain {
  /** Looks without asking it: false where there is surely none. */
  isLikely(): Promise<boolean>
  /** Null if it has none of this name. */
  get(account: string): Promise<string | null>
  set(account: string, value: string): Promise<void>
  remove(account: string): Promise<void>
}

export type KeychainRequest =
  | { readonly action: 'get' | 'remove'; readonly account: string }
  | { readonly action: 'set'; readonly account: string; readonly value: string }

export type KeychainAnswer = { readonly value: string | null } | { readonly error: string }

export interface KeychainParts {
  /** Arguments for Node that run keychain-thread.ts. */
  readonly program: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** Default 10,000. It may be waiting for the person to unlock it. */
  readonly deadlineMs?: number
}

/** What finding and asking a keychain takes; a prompt needs a display. */
const passedOn = [
  'DBUS_SESSION_BUS_ADDRESS',
  'XDG_RUNTIME_DIR',
  'HOME',
  'PATH',
  'LANG',
  'DISPLAY',
  'WAYLAND_DISPLAY',
  'XAUTHORITY',
  'USERPROFILE',
  'SystemRoot',
  'APPDATA',
]

export function createKeychain({ program, env, deadlineMs = 10_000 }: KeychainParts): Keychain {
  const childEnv = Object.fromEntries(passedOn.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])))

  async function ask(request: KeychainRequest): Promise<string | null> {
    const answer = read(await run(program, childEnv, JSON.stringify(request), deadlineMs))
    if ('value' in answer) return answer.value
    throw noKeychain(answer.error)
  }

  return {
    isLikely: () => hasKeychain(env),
    get: (account) => ask({ action: 'get', account }),
    set: async (account, value) => {
      await ask({ action: 'set', account, value })
    },
    remove: async (account) => {
      await ask({ action: 'remove', account })
    },
  }
}

async function hasKeychain(env: KeychainParts['env']): Promise<boolean> {
  if (process.platform !== 'linux') return true
  if ((env['DBUS_SESSION_BUS_ADDRESS'] ?? '') !== '') return true
  const runtime = env['XDG_RUNTIME_DIR'] ?? ''
  if (runtime === '') return false
  return access(join(runtime, 'bus')).then(
    () => true,
    () => false,
  )
}

function noKeychain(why: string): CloudError {
  return new CloudError('unavailable', `the keychain of this system cannot be used: ${why}`, {
    code: 'NO_KEYCHAIN',
    hint: 'It needs a desktop session that is logged in. On a server use a key file, a systemd credential or a passphrase.',
  })
}

function read(output: string): KeychainAnswer {
  try {
    const parsed: unknown = JSON.parse(output)
    if (typeof parsed === 'object' && parsed !== null) {
      if ('error' in parsed && typeof parsed.error === 'string') return { error: parsed.error }
      if ('value' in parsed && (parsed.value === null || typeof parsed.value === 'string')) return { value: parsed.value }
    }
  } catch {
    // Said below, without the text: it may hold a key.
  }
  return { error: 'it gave no answer' }
}

/** Gives what the child writes. A child that is not done in time is killed. */
function run(program: readonly string[], env: Record<string, string | undefined>, input: string, deadlineMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, program, { cwd: '/', env, stdio: ['pipe', 'pipe', 'ignore'] })
    const output = text(child.stdout).catch(() => '')
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      reject(noKeychain(`it did not answer within ${deadlineMs / 1000} s`))
    }, deadlineMs)
    child.on('error', (caught) => {
      clearTimeout(timer)
      reject(noKeychain(caught.message))
    })
    child.on('close', () => {
      clearTimeout(timer)
      resolve(output)
    })
    // Who has ended already does not read: its exit says so.
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
}
