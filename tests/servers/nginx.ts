/** nginx with its WebDAV modules, for a test file: the dialect that keeps no conditions. */
import { createHash, randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startDavProcess } from './dav-process.ts'
import type { DavServer } from './dav-process.ts'
import { findDebianTool } from './debian.ts'
import type { Unpacked } from './debian.ts'
import { freePort } from './server-process.ts'

export function findNginx(): Promise<Unpacked | { readonly missing: string }> {
  const packages = ['nginx', 'libnginx-mod-http-dav-ext']
  return findDebianTool({ folder: 'nginx-debian', packages, program: 'usr/sbin/nginx' })
}

/** Starts the server and waits until it answers. */
export async function startNginx(found: Unpacked): Promise<DavServer> {
  const [username, password] = ['ada', randomBytes(12).toString('hex')]
  const port = await freePort()
  const started = await startDavProcess({
    name: 'nginx',
    path: join(found.root, 'usr/sbin/nginx'),
    args: (folder) => ['-p', folder, '-e', join(folder, 'error.log'), '-c', join(folder, 'nginx.conf')],
    libraries: found.libraries,
    ready: `http://127.0.0.1:${port}/dav/`,
    prepare: async (folder) => {
      await writeFile(join(folder, 'nginx.conf'), config(found.root, folder, port))
      await writeFile(join(folder, 'passwords'), `${username}:{SHA}${createHash('sha1').update(password).digest('base64')}\n`)
    },
  })
  return { username, password, basic: `http://127.0.0.1:${port}/dav`, data: started.data, stop: started.stop }
}

function config(root: string, folder: string, port: number): string {
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
