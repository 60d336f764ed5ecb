/** What people get wrong, and what goes wrong around them: each says what it is and what to do. */
import { readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { createServer } from 'node:https'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type ChaosProxy, type Fate, type Seen, startChaosProxy } from '../support/chaos-proxy.ts'
import { type Cloud, localCloud, minioCloud } from '../support/clouds.ts'
import { Installation, type Outcome, run, shell } from '../support/installation.ts'
import { findMinio } from '../servers/minio.ts'

const patience = { timeout: 90_000 }
const minio = await findMinio()
const noMinio = 'missing' in minio ? minio.missing : null
const noMounts = process.platform !== 'linux' || process.getuid?.() !== 0 ? 'mounts in name spaces of their own need root on Linux' : null

/** Ends with this code, says what is wrong, and what to do about it. */
function expectRefusal(outcome: Outcome, code: number, cause: RegExp, remedy: RegExp): void {
  expect({ code: outcome.code, text: outcome.stderr }).toEqual({ code, text: expect.stringMatching(cause) as string })
  const advice = outcome.stderr.split('\n').filter((line) => line.startsWith('  -> '))
  expect(advice).toEqual([expect.stringMatching(remedy)])
}

describe('accounts', () => {
  let cloud: Cloud
  let proxy: ChaosProxy
  let installation: Installation

  beforeAll(async () => {
    if (noMinio !== null) return
    const made = await minioCloud()
    if ('missing' in made) throw new Error(made.missing)
    cloud = made
    proxy = await startChaosProxy(cloud.account.set['endpoint'] ?? '')
    installation = await Installation.create()
  })
  afterAll(async () => {
    if (noMinio !== null) return
    await installation[Symbol.asyncDispose]()
    await proxy.close()
    await cloud[Symbol.asyncDispose]()
  })
  beforeEach(({ skip }) => {
    skip(noMinio !== null, noMinio ?? '')
  })

  let accounts = 0

  /** Saves an account that differs from the right one, and tries it. */
  async function tried(change: Readonly<Record<string, string>>, secret?: string): Promise<Outcome> {
    const name = `account-${accounts++}`
    const secrets = secret === undefined ? cloud.account.secrets : { secretAccessKey: secret }
    await installation.account(name, { type: 's3', set: { ...cloud.account.set, ...change }, secrets })
    return installation.attempt(['config', 'test', name], { timeoutMs: 80_000 })
  }

  test('the right ones work', patience, async () => {
    expect(await tried({})).toMatchObject({ code: 0 })
  })

  test('a wrong secret', patience, async () => {
    const outcome = await tried({}, 'not the secret at all')
    expectRefusal(outcome, 7, /SignatureDoesNotMatch/, /secret key/)
    expect(outcome.stderr).not.toContain('not the secret at all')
  })

  test('a wrong access key', patience, async () => {
    expectRefusal(await tried({ accessKeyId: 'nobody' }), 7, /InvalidAccessKeyId/, /accessKeyId/)
  })

  test('a wrong bucket', patience, async () => {
    expectRefusal(await tried({ bucket: 'nothing-here' }), 4, /nothing-here: NoSuchBucket/, /check its name/)
  })

  test('an endpoint that nobody listens at', patience, async () => {
    expectRefusal(await tried({ endpoint: 'http://127.0.0.1:9' }), 6, /127\.0\.0\.1:9.*ECONNREFUSED/, /host and port of the endpoint/)
  })

  test('a certificate that nobody vouches for', patience, async ({ skip }) => {
    const { folder } = installation
    const made = await run('openssl', [
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost'],
      ...['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')],
    ]).catch(() => null)
    skip(made?.code !== 0, 'openssl is missing: apt-get install openssl')
    const server = createServer({ key: readFileSync(join(folder, 'key.pem')), cert: readFileSync(join(folder, 'cert.pem')) })
    server.listen(0)
    await once(server, 'listening')
    try {
      const address = server.address()
      const port = typeof address === 'object' ? (address?.port ?? 0) : 0
      expectRefusal(await tried({ endpoint: `https://localhost:${port}` }), 6, /self-signed certificate/, /NODE_EXTRA_CA_CERTS/)
    } finally {
      server.close()
    }
  })

  test('a clock that is wrong', patience, async () => {
    proxy.decide = () => ({
      kind: 'answer',
      status: 403,
      headers: { date: new Date(Date.now() - 3_600_000).toUTCString(), 'content-type': 'application/xml' },
      body: '<?xml version="1.0"?><Error><Code>RequestTimeTooSkewed</Code><Message>The difference is too large.</Message></Error>',
    })
    expectRefusal(await tried({ endpoint: proxy.endpoint }), 7, /RequestTimeTooSkewed/, /clock of this machine is 36\d\d s ahead.*set it/)
  })

  test('a web page in place of an answer', patience, async () => {
    proxy.decide = () => ({ kind: 'answer', status: 200, body: '<html>Sign in to the hotel network</html>' })
    expectRefusal(await tried({ endpoint: proxy.endpoint }), 6, /not as it should be.*hotel network/, /endpoint.*login page/)
  })

  test('a provider that asks to wait', patience, async () => {
    proxy.decide = () => ({ kind: 'answer', status: 503, headers: { 'retry-after': '1' } })
    expectRefusal(await tried({ endpoint: proxy.endpoint }), 6, /answered 503/, /try again later/)
  })

  test('an option that does not exist: the nearest one is named', patience, async () => {
    const create = (...args: string[]) => installation.attempt(['config', 'create', 'x', ...args])
    expectRefusal(await create('--provider', 's3', '--set', 'endpont=http://x'), 2, /no option 'endpont'/, /'endpoint'/)
    expectRefusal(await create('--provider', 's4'), 2, /no provider type 's4'/, /'s3'/)
    expectRefusal(await create('--provider', 's3', '--set', 'secretAccessKey=oops'), 2, /is a secret/, /--set-secret/)
  })
})

/** Node's own way to make folders never ends there. */
test('places below /proc, where no folder can be made, are refused at once', patience, async ({ skip }) => {
  skip(noMounts !== null, noMounts ?? '')
  await using installation = await Installation.create()
  const { folder } = installation
  const takesNone = /\/proc\/cm-none cannot be made: \/proc takes no folders/
  const begun = performance.now()
  const account = (name: string, path: string, create: string) =>
    installation.attempt(['config', 'create', name, '--provider', 'local', '--set', `path=${path}`, '--set', `create=${create}`, '--test'])
  expectRefusal(await account('none', '/proc/cm-none/cloud', 'true'), 7, takesNone, /Choose another place/)
  expect((await account('cloud', join(folder, 'cloud'), 'true')).code).toBe(0)
  await mkdir(join(folder, 'm'))
  const add = (name: string, ...flags: string[]) => installation.attempt(['mount', 'add', name, '--provider', 'cloud', ...flags])
  expect((await add('cache', '--path', join(folder, 'm'), '--cache-dir', '/proc/cm-none/cache')).code).toBe(0)
  expectRefusal(await installation.attempt(['mount', 'cache']), 7, takesNone, /Choose another place/)
  await installation.cloudmoor(['mount', 'remove', 'cache', '--park'])
  expect((await add('point', '--path', '/proc/cm-none/m')).code).toBe(0)
  expectRefusal(await installation.attempt(['mount', 'point']), 5, /\/proc\/cm-none\/m does not exist/, /mkdir -p/)
  expectRefusal(
    await installation.attempt(['backup', 'create', '/proc/cm-none/a.backup']),
    4,
    /\/proc\/cm-none\/a\.backup does not exist/,
    /path/,
  )
  const env = { ...installation.env, CLOUDMOOR_HOME: '/proc/cm-none/home' }
  const started = await run('bin/cloudmoor', ['service', 'start'], { cwd: join(import.meta.dirname, '../..'), env })
  expectRefusal(started, 1, /\/proc\/cm-none/, /path/)
  const service = await run('bin/cloudmoor-service', [], { cwd: join(import.meta.dirname, '../..'), env, timeoutMs: 20_000 })
  expect([service.code, service.stderr]).toEqual([1, expect.stringMatching(takesNone)])
  expect(performance.now() - begun).toBeLessThan(20_000)
})

describe('mount points', () => {
  beforeEach(({ skip }) => {
    skip(noMounts !== null, noMounts ?? '')
  })

  test('that cannot be mounted on', patience, async () => {
    await using cloud = await localCloud()
    await using installation = await Installation.create()
    await installation.account('cloud', cloud.account)
    const { folder } = installation
    const mounted = async (name: string, path: string): Promise<Outcome> => {
      const added = await installation.attempt(['mount', 'add', name, '--provider', 'cloud', '--remote', name, '--path', path])
      return added.code === 0 ? installation.attempt(['mount', name]) : added
    }
    await mkdir(join(folder, 'full', 'something'), { recursive: true })
    await mkdir(join(folder, 'taken'))
    await shell(`mount -t tmpfs none "${folder}/taken"`)
    try {
      expectRefusal(await mounted('missing', join(folder, 'missing')), 5, /missing does not exist/, /mkdir -p/)
      expectRefusal(await mounted('full', join(folder, 'full')), 5, /full is not empty/, /Choose an empty folder/)
      expectRefusal(await mounted('taken', join(folder, 'taken')), 5, /tmpfs.*already mounted on .*taken/, /another folder/)
      const status = await installation.cloudmoor(['status'])
      for (const name of ['missing', 'full', 'taken'])
        expect(status).toMatch(new RegExp(`^${name}: the mount point|^${name}: none \\(tmpfs\\)`, 'm'))
    } finally {
      await shell(`umount "${folder}/taken"`)
    }
    await mkdir(join(cloud.folder ?? '', 'good', 'inside'), { recursive: true })
    const good = await installation.mount('good', 'cloud', ['--remote', 'good'])
    await shell(`test -d "${good}/inside"`)
    expectRefusal(await mounted('inside', join(good, 'inside')), 5, /lies inside the mount on/, /outside/)
    expectRefusal(await mounted('same', good), 5, /another mount is configured on/, /another folder/)
    await using other = await Installation.create()
    await other.account('cloud', cloud.account)
    await other.cloudmoor(['mount', 'add', 'theirs', '--provider', 'cloud', '--remote', 'theirs', '--path', good])
    expectRefusal(await other.attempt(['mount', 'theirs']), 5, /cloudmoor:good.*already mounted on/, /Another CloudMoor service/)
    const option = ['mount', 'add', 'x', '--provider', 'cloud', '--path', '/x', '--option', 'writebackSecond=1']
    expectRefusal(await installation.attempt(option), 2, /no option 'writebackSecond'/, /'writeBackSeconds'/)
  })

  const emptyDevices = `
    dev="$(mktemp -d)"; mount -t tmpfs none "$dev"
    for node in null:3 zero:5 random:8 urandom:9; do mknod -m 666 "$dev/\${node%:*}" c 1 "\${node#*:}"; done
    mount --move "$dev" /dev; exec "$0" "$@"`

  test.each([
    {
      what: 'no right to mount',
      wrapper: ['setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin', '--no-new-privs'],
      cause: /may not mount on/,
      remedy: /setuid root|SYS_ADMIN/,
      doctor: /MISSING +mount-right/,
    },
    {
      what: 'no FUSE',
      wrapper: ['unshare', '--mount', '--propagation', 'private', '/bin/sh', '-c', emptyDevices],
      cause: /\/dev\/fuse is missing/,
      remedy: /modprobe fuse/,
      doctor: /MISSING +fuse-device/,
    },
  ])('$what', patience, async ({ wrapper, cause, remedy, doctor }) => {
    await using cloud = await localCloud()
    await using installation = await Installation.create()
    installation.wrapper = wrapper
    await installation.account('cloud', cloud.account)
    await mkdir(join(installation.folder, 'm'))
    await installation.cloudmoor(['mount', 'add', 'm', '--provider', 'cloud', '--path', join(installation.folder, 'm')])
    expectRefusal(await installation.attempt(['mount', 'm']), 5, cause, remedy)
    expect(await installation.attempt(['doctor'])).toMatchObject({ code: 1, stdout: expect.stringMatching(doctor) as string })
  })
})

describe('a provider that misbehaves while its drive is in use', () => {
  let cloud: Cloud
  let proxy: ChaosProxy
  let installation: Installation
  let mount: string
  const pass: Fate = { kind: 'pass' }
  const isListing = ({ url }: Seen) => url.includes('list-type') && url.includes('prefix=folder')
  const files = Array.from({ length: 40 }, (_, i) => `file-${i}`)

  /** Forty files and a big one are at the provider; the drive knows nothing of them yet. */
  beforeAll(async () => {
    if (noMinio !== null || noMounts !== null) return
    const made = await minioCloud()
    if ('missing' in made) throw new Error(made.missing)
    cloud = made
    await using writer = await Installation.create()
    await writer.account('cloud', cloud.account)
    const theirs = await writer.mount('drive', 'cloud', ['--option', 'writeBackSeconds=0'])
    await shell(`mkdir "${theirs}/folder"; cd "${theirs}/folder"; for name in ${files.join(' ')}; do echo $name > $name; done
      head -c 3000000 /dev/urandom > "${writer.folder}/big"; cp "${writer.folder}/big" "${theirs}/big"`)
    await writer.uploaded('drive')
  })
  afterAll(async () => {
    if (noMinio === null && noMounts === null) await cloud[Symbol.asyncDispose]()
  })
  beforeEach(async ({ skip, onTestFinished }) => {
    skip(noMinio !== null || noMounts !== null, noMinio ?? noMounts ?? '')
    proxy = await startChaosProxy(cloud.account.set['endpoint'] ?? '')
    installation = await Installation.create()
    onTestFinished(async () => {
      await installation[Symbol.asyncDispose]()
      await proxy.close()
    })
    await installation.account('cloud', { ...cloud.account, set: { ...cloud.account.set, endpoint: proxy.endpoint } })
    mount = await installation.mount('drive', 'cloud', ['--option', 'writeBackSeconds=0'])
  })

  const list = () => run('ls', [join(mount, 'folder')], { timeoutMs: 60_000 })

  test.each([
    { what: 'garbage', fate: { kind: 'answer', status: 200, body: '<html>hotel</html>' }, said: /not as it should be/ },
    { what: 'a listing that breaks off', fate: { kind: 'cut', after: 1500 }, said: /./ },
  ] as const)('$what: no folder looks empty or half full, and the log says why', patience, async ({ fate, said }) => {
    proxy.decide = (seen) => (isListing(seen) ? fate : pass)
    const broken = await list()
    expect(proxy.struck).toBeGreaterThan(0)
    expect(broken).toMatchObject({ code: 2, stdout: '' })
    expect(await installation.cloudmoor(['logs'])).toMatch(new RegExp(`warn .*the provider: .*${said.source}`))
    proxy.decide = () => pass
    expect((await list()).stdout.trim().split('\n').sort()).toEqual(files.toSorted())
    // What is known stays, whatever comes later.
    proxy.decide = (seen) => (isListing(seen) ? fate : pass)
    expect((await list()).stdout.trim().split('\n').sort()).toEqual(files.toSorted())
  })

  test('answers that are cut off in the middle: the file is whole', patience, async () => {
    let cuts = 0
    proxy.decide = ({ method, url }) => (method === 'GET' && url.endsWith('/big') && cuts++ < 4 ? { kind: 'cut', after: 100_000 } : pass)
    const sum = await shell(`sha256sum < "${mount}/big"`)
    expect(cuts).toBeGreaterThanOrEqual(4)
    proxy.decide = () => pass
    await using direct = await Installation.create()
    await direct.account('cloud', cloud.account)
    expect(await shell(`sha256sum < "${await direct.mount('check', 'cloud', ['--read-only'])}/big"`)).toBe(sum)
  })

  test('a storm of 503 with Retry-After: writes go on, the provider is left alone, then everything arrives', patience, async () => {
    await shell(`ls "${mount}"`)
    proxy.decide = () => ({ kind: 'answer', status: 503, headers: { 'retry-after': '12' } })
    await shell(`echo during > "${mount}/storm"; test "$(cat "${mount}/storm")" = during`)
    const throttled = async () => (await installation.mountStatus('drive')).conditions.map(({ kind }) => kind)
    await expect.poll(throttled, { timeout: 15_000 }).toContain('throttled')
    expect(await installation.cloudmoor(['status'])).toMatch(/mounted, slowed until \d\d:\d\d:\d\d/)
    const asked = proxy.seen.length
    await sleep(4000)
    expect(proxy.seen.length - asked).toBeLessThanOrEqual(1)
    proxy.decide = () => pass
    await installation.uploaded('drive', 40_000)
    expect(proxy.struck).toBeGreaterThan(0)
  })

  test('a full disk while offline: ENOSPC at once, the status says why, and nothing that was there is lost', patience, async () => {
    const disk = join(installation.folder, 'disk')
    await shell(`mkdir "${disk}"; mount -t tmpfs -o size=128m none "${disk}"`)
    try {
      const flags = ['--remote', 'small', '--shared', '--cache-dir', disk, '--option', 'writeBackSeconds=0']
      const small = await installation.mount('small', 'cloud', flags)
      await shell(`ls "${small}"; echo kept > "${small}/kept"`)
      await installation.uploaded('small')
      // Nothing can be uploaded to make room.
      proxy.decide = () => ({ kind: 'reset' })
      await shell(`echo again > "${small}/again"`)
      const conditions = async () => (await installation.mountStatus('small')).conditions.map(({ kind }) => kind)
      await expect.poll(conditions, { timeout: 30_000 }).toContain('offline')
      const written = await run('dd', ['if=/dev/zero', `of=${join(small, 'big')}`, 'bs=1M', 'count=200'], { timeoutMs: 20_000 })
      expect(written).toMatchObject({ code: 1, stderr: expect.stringContaining('No space left on device') as string })
      const said = /small +mounted, .*cache-full[\s\S]*^small: cache-full: .*free space/m
      await expect.poll(() => installation.cloudmoor(['status']), { timeout: 5000 }).toMatch(said)
      // What is at the provider was let go of to make room, what is only here never.
      await shell(`rm "${small}/big"; test "$(cat "${small}/again")" = again`)
      proxy.decide = () => pass
      await installation.uploaded('small', 40_000)
      await shell(`test "$(cat "${small}/kept" "${small}/again" | tr -d '\n')" = keptagain`)
    } finally {
      await installation.attempt(['service', 'stop'])
      await shell(`umount -l "${disk}"`)
    }
  })
})
