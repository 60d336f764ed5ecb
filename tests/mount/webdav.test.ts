/** A mount of a real Apache: programs work on it, and what the server has on its own disk afterwards is what they left. */
import { writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { findApache, startApache } from '../servers/apache.ts'
import type { ApacheServer } from '../servers/apache.ts'
import { startChaosProxy } from '../support/chaos-proxy.ts'
import type { ChaosProxy, Fate } from '../support/chaos-proxy.ts'
import { Installation, shell } from '../support/installation.ts'

const found = await findApache()
const sign =
  'GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org'

const quick = ['--option', 'writeBackSeconds=1']

describe('a mount of WebDAV (Apache)', { timeout: 120_000 }, () => {
  if ('missing' in found) {
    test.skip(`Apache: ${found.missing}`, () => undefined)
    return
  }
  let server: ApacheServer
  let proxy: ChaosProxy
  let installation: Installation
  let mount: string
  let scratch: string

  const account = async (one: Installation, url: string) => {
    const set = { url: `${url}/dav`, username: server.username }
    await one.account('cloud', { type: 'webdav', set, secrets: { password: server.password } })
  }
  /** What the server has below its root, byte by byte. */
  const same = (name: string) => shell(`diff -r "${scratch}/${name}" "${server.data}/${name}"`)
  const asked = (method: string) => proxy.seen.filter((seen) => seen.method === method && !seen.url.includes('cloudmoor-tmp'))

  beforeAll(async () => {
    server = await startApache(found)
    proxy = await startChaosProxy(new URL(server.basic).origin)
    scratch = await mkdtemp(join(tmpdir(), 'cm-scratch-'))
    installation = await Installation.create()
    await account(installation, proxy.endpoint)
    mount = await installation.mount('drive', 'cloud', quick)
  }, 60_000)

  afterAll(async () => {
    await installation[Symbol.asyncDispose]()
    await proxy.close()
    await server.stop()
    await rm(scratch, { recursive: true, force: true })
  })

  beforeEach(() => {
    proxy.decide = () => ({ kind: 'pass' })
    proxy.seen.length = 0
    proxy.struck = 0
  })

  test('config test shows what the server does, and a check that is off is shouted', async () => {
    const sheet = await installation.cloudmoor(['config', 'test', 'cloud'])
    expect(sheet).toMatch(/^conditional replacement +yes/m)
    expect(sheet).toMatch(/^versions by tag +yes/m)
    const off = ['--set', `url=${server.selfSigned}`, '--set', `username=${server.username}`, '--set', 'verifyTls=false']
    const created = await installation.attempt(['config', 'create', 'off', '--provider', 'webdav', ...off, '--set-secret', 'password=-'], {
      input: server.password,
    })
    expect(created).toMatchObject({ code: 0, stderr: expect.stringContaining('WARNING: verifyTls=false') as string })
    expect(await installation.cloudmoor(['config', 'test', 'off'])).toMatch(/^server certificate checked +no +TLS VERIFICATION IS OFF/m)
  })

  test('git, SQLite and rsync', async () => {
    await shell(
      `export ${sign}
      git init -q "$T/source"; for i in $(seq 1 60); do mkdir -p "$T/source/d$((i % 6))"; head -c $((i * 97)) /dev/urandom > "$T/source/d$((i % 6))/f$i"; done
      git -C "$T/source" add . && git -C "$T/source" commit -qm one
      git clone -q "$T/source" "$M/git" && git -C "$M/git" fsck --strict
      git -C "$M/git" mv d2 moved && echo changed > "$M/git/d1/f1" && git -C "$M/git" commit -qam two && test -z "$(git -C "$M/git" status --porcelain)"
      cp -a "$M/git" "$T/git"
      mkdir "$M/sqlite"; sqlite3 "$M/sqlite/wal.db" 'pragma journal_mode=wal; create table t(i integer primary key, x blob);' > /dev/null
      for i in $(seq 1 10); do sqlite3 "$M/sqlite/wal.db" 'insert into t(x) values(randomblob(3000)); update t set x=randomblob(2000) where i%3=0;'; done
      test "$(sqlite3 "$M/sqlite/wal.db" 'pragma integrity_check; select count(*) from t;' | tr '\\n' ' ')" = 'ok 10 '
      cp -a "$M/sqlite" "$T/sqlite"
      rsync -a "$T/source/d1/" "$M/rsync/"; moved="$(rsync -ai "$T/source/d1/" "$M/rsync/")"; test -z "$moved"; cp -a "$M/rsync" "$T/rsync"`,
      100_000,
      { M: mount, T: scratch },
    )
    await installation.uploaded('drive', 90_000)
    for (const name of ['git', 'sqlite', 'rsync']) await same(name)
  })

  test('a folder is renamed in one request while a file in it is open', async () => {
    await shell('mkdir "$M/before"; for i in $(seq 1 20); do echo $i > "$M/before/$i"; done', 20_000, { M: mount })
    await installation.uploaded('drive')
    proxy.seen.length = 0
    await shell('exec 3>>"$M/before/7"; mv "$M/before" "$M/after +%"; echo more >&3; exec 3>&-', 20_000, { M: mount })
    await installation.uploaded('drive')
    expect(asked('MOVE')).toMatchObject([{ method: 'MOVE', url: '/dav/before/' }])
    expect(asked('PUT').map(({ url }) => url)).toEqual(['/dav/after%20%2B%25/7'])
    expect((await readdir(server.data)).filter((name) => name === 'before')).toEqual([])
    expect((await readdir(join(server.data, 'after +%'))).length).toBe(20)
    expect(await readFile(join(server.data, 'after +%', '7'), 'utf8')).toBe('7\nmore\n')
  })

  test('an answer that is lost is asked after, and nothing is done twice', async () => {
    const lose = (method: string) => {
      const fates: Fate[] = [{ kind: 'lose-answer' }]
      proxy.decide = (seen) => (seen.method === method ? (fates.shift() ?? { kind: 'pass' }) : { kind: 'pass' })
      proxy.seen.length = 0
    }
    lose('PUT')
    await writeFile(join(mount, 'lost'), 'contents')
    await installation.uploaded('drive')
    expect(asked('PUT').length).toBe(1)
    lose('MOVE')
    await shell('mv "$M/lost" "$M/lost-2"', 10_000, { M: mount })
    await installation.uploaded('drive')
    expect(asked('MOVE').length).toBe(1)
    expect(await readFile(join(server.data, 'lost-2'), 'utf8')).toBe('contents')
    expect(proxy.struck).toBe(2)
  })

  test('a removal whose answer is lost takes nothing that somebody has put there since', async () => {
    await writeFile(join(mount, 'removed'), 'ours')
    await installation.uploaded('drive')
    proxy.decide = ({ method }) => {
      if (method !== 'DELETE') return { kind: 'pass' }
      if (proxy.struck === 0) return { kind: 'lose-answer' }
      writeFileSync(join(server.data, 'removed'), 'theirs')
      return { kind: 'pass' }
    }
    await rm(join(mount, 'removed'))
    await installation.uploaded('drive')
    expect(proxy.struck).toBe(1)
    // Whether it is repeated or only looked after: what is there now is not ours.
    const there = await readFile(join(server.data, 'removed'), 'utf8').catch(() => 'nothing')
    expect(there).toBe(asked('DELETE').length > 1 ? 'theirs' : 'nothing')
  })

  test('requests, counted', async () => {
    await mkdir(join(server.data, 'counted'))
    for (let index = 0; index < 50; index++) await writeFile(join(server.data, 'counted', `file ${index}`), `contents ${index}`)
    await shell('chown -R nobody "$D/counted" 2>/dev/null || true', 10_000, { D: server.data })
    await using fresh = await Installation.create()
    await account(fresh, proxy.endpoint)
    const copy = await fresh.mount('check', 'cloud', quick)
    proxy.seen.length = 0
    expect((await readdir(join(copy, 'counted'))).length).toBe(50)
    expect(proxy.seen.filter(({ url }) => url.includes('counted')).map(({ method }) => method)).toEqual(['PROPFIND'])
    expect(await readFile(join(copy, 'counted', 'file 7'), 'utf8')).toBe('contents 7')
    expect(proxy.seen.filter(({ url }) => url.endsWith('/file%207')).map(({ method }) => method)).toEqual(['GET'])
    await writeFile(join(copy, 'counted', 'first'), 'what follows is a drive that knows its server')
    await fresh.uploaded('check')
    proxy.seen.length = 0
    await writeFile(join(copy, 'counted', 'made'), 'x')
    await fresh.uploaded('check')
    expect(proxy.seen.filter(({ url }) => url.endsWith('/made')).map(({ method }) => method)).toEqual(['PUT', 'PROPFIND'])
    for (const name of ['git', 'sqlite', 'rsync']) await shell(`diff -r "${scratch}/${name}" "${copy}/${name}"`, 60_000)
  })
})
