/** nginx with its WebDAV modules, for a test file: the dialect that keeps no conditions. */
import { createHash, randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeCertificates } from './certificates.ts'
import type { Certificates } from './certificates.ts'
import { startDavProcess } from './dav-process.ts'
import type { DavServer } from './dav-process.ts'
import { findDebianTool } from './debian.ts'
import type { Unpacked } from './debian.ts'
import { freePort } from './server-process.ts'

export function findNginx(): Promise<Unpacked | { readonly missing: string }> {
  const packages = ['nginx', 'libnginx-mod-http-dav-ext']
  return findDebianTool({ folder: 'nginx-debian', packages, program: 'usr/sbin/nginx' })
}

export interface NginxServer extends DavServer {
  /** The same over TLS, with a certificate of the test's own authority. */
  readonly tls: string
  readonly certificates: Certificates
}

/** Starts the server and waits until it answers. */
export async function startNginx(found: Unpacked): Promise<NginxServer> {
  const [username, password] = ['ada', randomBytes(12).toString('hex')]
  const [port, tlsPort] = [await freePort(), await freePort()]
  const certificates = await makeCertificates()
  const started = await startDavProcess({
    name: 'nginx',
    path: join(found.root, 'usr/sbin/nginx'),
    args: (folder) => ['-p', folder, '-e', join(folder, 'error.log'), '-c', join(folder, 'nginx.conf')],
    libraries: found.libraries,
    ready: `http://127.0.0.1:${port}/dav/`,
    prepare: async (folder) => {
      await writeFile(join(folder, 'nginx.conf'), config(found.root, folder, port, tlsPort))
      await writeFile(join(folder, 'server.crt'), certificates.server.cert)
      await writeFile(join(folder, 'server.key'), certificates.server.key)
      await writeFile(join(folder, 'passwords'), `${username}:{SHA}${createHash('sha1').update(password).digest('base64')}\n`)
    },
  })
  return {
    username,
    password,
    basic: `http://127.0.0.1:${port}/dav`,
    tls: `https://127.0.0.1:${tlsPort}/dav`,
    certificates,
    data: started.data,
    stop: started.stop,
  }
}

function config(root: string, folder: string, port: number, tlsPort: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`)
  return `
daemon off;
pid ${folder}/nginx.pid;
worker_processes 1;
${process.getuid?.() === 0 ? 'user nobody nogroup;' : ''}
load_module ${root}/usr/lib/nginx/modules/ngx_http_dav_ext_module.so;
events { worker_connections 256; }
http {
  access_log off;
  client_max_body_size 0;
  ${temporary.join('\n  ')}
  dav_ext_lock_zone zone=locks:1m;
  server {
    listen 127.0.0.1:${port};
    listen 127.0.0.1:${tlsPort} ssl;
    ssl_certificate ${folder}/server.crt;
    ssl_certificate_key ${folder}/server.key;
    root ${folder}/data;
    location /dav/ {
      alias ${folder}/data/;
      auth_basic drive;
      auth_basic_user_file ${folder}/passwords;
      dav_methods PUT DELETE MKCOL COPY MOVE;
      dav_ext_methods PROPFIND OPTIONS LOCK UNLOCK;
      dav_ext_lock zone=locks;
      create_full_put_path off;
    }
  }
}
`
}
