/** Apache with mod_dav, for a test file: every way to sign in at a port of its own, all on one folder. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeCertificates } from './certificates.ts'
import type { Certificates } from './certificates.ts'
import { startDavProcess } from './dav-process.ts'
import type { DavServer } from './dav-process.ts'
import { findDebianTool } from './debian.ts'
import type { Unpacked } from './debian.ts'
import { freePort } from './server-process.ts'

export interface ApacheServer extends DavServer {
  readonly token: string
  readonly digest: string
  readonly bearer: string
  /** Basic over TLS, with a certificate of the test's own authority. */
  readonly tls: string
  /** The same with a certificate that nobody vouches for. */
  readonly selfSigned: string
  /** A client certificate instead of a password. */
  readonly clientCertificate: string
  readonly certificates: Certificates
  /** Lines "METHOD path status authorization?" of what was asked so far. */
  readonly log: () => Promise<string[]>
}

const modules = [
  ['mpm_event', 'authn_core', 'authn_file', 'authz_core', 'authz_host', 'authz_user', 'auth_basic', 'auth_digest', 'alias'],
  ['dav', 'dav_fs', 'dav_lock', 'env', 'headers', 'setenvif', 'socache_shmcb', 'ssl'],
].flat()

export function findApache(): Promise<Unpacked | { readonly missing: string }> {
  const packages = ['apache2-bin', 'libapr1', 'libaprutil1', 'libdb5.3']
  return findDebianTool({ folder: 'apache-debian', packages, program: 'usr/sbin/apache2' })
}

/** Starts the server and waits until it answers. */
export async function startApache(found: Unpacked): Promise<ApacheServer> {
  const [username, password, token] = ['ada', randomBytes(12).toString('hex'), randomBytes(16).toString('hex')]
  const certificates = await makeCertificates()
  const ports = await Promise.all(Array.from({ length: 6 }, freePort))
  const started = await startDavProcess({
    name: 'apache',
    path: join(found.root, 'usr/sbin/apache2'),
    args: (folder) => ['-f', join(folder, 'apache.conf'), '-D', 'FOREGROUND'],
    libraries: found.libraries,
    ready: `http://127.0.0.1:${ports[0]}/dav/`,
    prepare: async (folder) => {
      const files: Readonly<Record<string, string>> = {
        'apache.conf': config(found, folder, ports, token),
        passwords: `${username}:{SHA}${createHash('sha1').update(password).digest('base64')}\n`,
        digests: `${username}:drive:${createHash('md5').update(`${username}:drive:${password}`).digest('hex')}\n`,
        'authority.pem': certificates.authority.cert,
        'server.pem': `${certificates.server.cert}\n${certificates.server.key}`,
        'self-signed.pem': `${certificates.selfSigned.cert}\n${certificates.selfSigned.key}`,
      }
      for (const [name, contents] of Object.entries(files)) await writeFile(join(folder, name), contents)
      await mkdir(join(folder, 'locks'))
    },
  })
  const url = (index: number, scheme = 'http') => `${scheme}://127.0.0.1:${ports[index]}/dav`
  return {
    username,
    password,
    token,
    basic: url(0),
    digest: url(1),
    bearer: url(2),
    tls: url(3, 'https'),
    selfSigned: url(4, 'https'),
    clientCertificate: url(5, 'https'),
    certificates,
    data: started.data,
    log: async () => (await readFile(join(started.folder, 'access.log'), 'utf8')).split('\n').filter((line) => line !== ''),
    stop: started.stop,
  }
}

/**
 * Apache works as nobody, who may not look into the tool cache: the driver of the lock database is loaded before, by the very
 * path under which it is asked for later.
 */
function config({ root, libraries }: Unpacked, folder: string, ports: readonly number[], token: string): string {
  const basic = `AuthType Basic\nAuthName drive\nAuthUserFile ${folder}/passwords\nRequire valid-user`
  const digest = `AuthType Digest\nAuthName drive\nAuthDigestProvider file\nAuthUserFile ${folder}/digests\nRequire valid-user`
  const bearer = `SetEnvIf Authorization "^Bearer ${token}$" known\nRequire env known`
  const tls = (file: string) => `SSLEngine on\nSSLCertificateFile ${folder}/${file}`
  const byCertificate = `${tls('server.pem')}\nSSLCACertificateFile ${folder}/authority.pem\nSSLVerifyClient require`
  const hosts: readonly (readonly [string, string])[] = [
    ['', basic],
    ['', digest],
    ['', bearer],
    [tls('server.pem'), basic],
    [tls('self-signed.pem'), basic],
    [byCertificate, 'Require all granted'],
  ]
  const host = ([own, access]: readonly [string, string], index: number) => `
<VirtualHost 127.0.0.1:${ports[index]}>
${own}
Alias /dav ${folder}/data
Redirect 302 /elsewhere http://127.0.0.1:${ports[2]}/dav
<Location /dav>
Dav On
${access}
</Location>
</VirtualHost>`
  return `
ServerRoot ${folder}
ServerName localhost
PidFile ${folder}/apache.pid
ErrorLog ${folder}/error.log
LogFormat "%m %U %>s %{Authorization}i" short
CustomLog ${folder}/access.log short
DavLockDB ${folder}/locks/db
DavMinTimeout 5
Timeout 20
StartServers 1
ServerLimit 1
ThreadLimit 32
ThreadsPerChild 32
MaxRequestWorkers 32
MaxKeepAliveRequests 0
KeepAliveTimeout 20
SSLSessionCache none
${process.getuid?.() === 0 ? 'User #65534\nGroup #65534' : ''}
${modules.map((name) => `LoadModule ${name}_module ${root}/usr/lib/apache2/modules/mod_${name}.so`).join('\n')}
LoadFile ${libraries}/apr-util-1/apr_dbm_db-1.so
${ports.map((port) => `Listen 127.0.0.1:${port}`).join('\n')}
${hosts.map(host).join('\n')}
`
}
