import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const missing = ['dbus-run-session', 'dbus-send', 'gnome-keyring-daemon'].filter(
  (program) => !(process.env['PATH'] ?? '').split(delimiter).some((folder) => existsSync(join(folder, program))),
)
const session = fileURLToPath(new URL('./keychain-session.ts', import.meta.url))

interface Report {
  readonly kind: string
  readonly afterStart: string
  readonly afterRotation: string
  readonly old: string | null
  readonly current: string
  readonly problems: number
  readonly files: number
  readonly afterLoss: string
  readonly said: readonly string[]
}

/** Runs the session under a bus of its own, with a home of its own; `service` is a shell command beside it. */
function underBus(service: string): Report {
  const home = mkdtempSync(join(tmpdir(), 'keychain-'))
  const script = `
    set -eu
    ${service}
    "${process.execPath}" --experimental-strip-types --disable-warning=ExperimentalWarning "${session}" && code=0 || code=$?
    if [ -n "\${keyring-}" ]; then kill "$keyring"; wait "$keyring" || true; fi
    exit $code`
  try {
    const done = spawnSync('dbus-run-session', ['--', 'bash', '-c', script], {
      ...{ cwd: '/', encoding: 'utf8', timeout: 100_000, killSignal: 'SIGKILL' },
      env: { ...process.env, HOME: home, XDG_RUNTIME_DIR: home, XDG_DATA_HOME: join(home, 'data') },
    })
    if (done.status !== 0) throw new Error(`exit ${done.status ?? done.signal ?? ''}\n${done.stdout}\n${done.stderr}`)
    return JSON.parse(done.stdout) as Report
  } finally {
    rmSync(home, { recursive: true })
  }
}

const keyring = `
  printf 'login password' | gnome-keyring-daemon --unlock --components=secrets --foreground >/dev/null 2>&1 &
  keyring=$!
  for attempt in $(seq 100); do
    dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner string:org.freedesktop.secrets |
      grep -q 'boolean true' && break
    sleep 0.1
  done`

it('a vault lives in the keychain of the user, and nowhere else', { timeout: 120_000 }, ({ skip }) => {
  if (missing.length > 0) skip(`not installed: ${missing.join(', ')} (apt-get install dbus gnome-keyring)`)
  const report = underBus(keyring)
  expect(report).toMatchObject({ kind: 'keychain', afterStart: 'hunter2', afterRotation: 'hunter2', problems: 0, files: 0 })
  // The key before the rotation is gone, the present one is there.
  expect([report.old, report.current]).toEqual([null, 'string'])
  expect(report.afterLoss).toContain('the keychain of this user does not have the key of the vault')
})

it('where the session has no keychain, the vault takes a key file and says so', { timeout: 120_000 }, ({ skip }) => {
  if (missing.includes('dbus-run-session')) skip('not installed: dbus-run-session (apt-get install dbus)')
  const report = underBus('')
  expect(report).toMatchObject({ kind: 'key-file', afterStart: 'hunter2', afterRotation: 'hunter2', problems: 0, files: 1 })
  expect(report.said).toMatchObject([expect.stringContaining('keychain')])
})
