/**
 * OpenStack Swift with its S3 front, all of it in a temporary folder: one device, one replica, no daemons. The poor dialect: it
 * knows neither conditions on PUT nor checksums but MD5. Needs extended attributes below the temporary folder.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { S3Server } from './minio.ts'
import { answersWith, freePort, startServerProcess } from './server-process.ts'
import type { ServerProcess } from './server-process.ts'
import { findPythonTool, whereOnPath } from './tool.ts'
import type { Found } from './tool.ts'

const tool = { name: 'swift-proxy-server', folder: 'swift-2.38.3', packages: ['swift==2.38.3', 'pyeclib==1.8.0', 'eventlet==0.41.3'] }

export async function findSwift(): Promise<Found> {
  // Its authentication keeps what it knows there.
  if (!whereOnPath('memcached')) return { missing: 'Swift needs memcached (apt install memcached)' }
  return await findPythonTool(tool)
}

interface Ports {
  readonly proxy: number
  readonly account: number
  readonly container: number
  readonly object: number
  readonly memcached: number
}

/** @param path of swift-proxy-server; the other programs lie beside it */
export async function startSwift(path: string): Promise<S3Server> {
  const folder = await mkdtemp(join(tmpdir(), 'cloudmoor-swift-'))
  const [proxy, account, container, object, memcached] = await Promise.all([freePort(), freePort(), freePort(), freePort(), freePort()])
  const ports: Ports = { proxy, account, container, object, memcached }
  const secretAccessKey = randomBytes(20).toString('hex')
  const running: ServerProcess[] = []
  const stop = async () => {
    await Promise.all(running.map((server) => server.stop()))
    await rm(folder, { recursive: true, force: true })
  }
  const start = async (name: string, program: string, args: string[], isReady: () => Promise<boolean>) => {
    const server = await startServerProcess({ name, path: program, args, env: { HOME: folder }, isReady })
    running.push(server)
    return server
  }
  const endpoint = `http://127.0.0.1:${proxy}`
  try {
    await configure(folder, path, ports, secretAccessKey)
    const beside = (name: string) => join(dirname(path), `swift-${name}-server`)
    const storage = (['account', 'container', 'object'] as const).map((name) =>
      start(`swift-${name}`, beside(name), [join(folder, `${name}.conf`)], () =>
        answersWith(`http://127.0.0.1:${ports[name]}/healthcheck`, 200),
      ),
    )
    const memory = ['-u', userInfo().username, '-l', '127.0.0.1', '-p', String(memcached), '-m', '64']
    const began = await Promise.allSettled([
      ...storage,
      start('memcached', whereOnPath('memcached') ?? 'memcached', memory, async () => true),
      start('swift-proxy', path, [join(folder, 'proxy.conf')], () => answersWith(`${endpoint}/healthcheck`, 200)),
    ])
    for (const one of began) if (one.status === 'rejected') throw one.reason
  } catch (error) {
    await stop()
    throw error
  }
  return { endpoint, accessKeyId: 'test:tester', secretAccessKey, pid: running.at(-1)?.pid ?? 0, stop }
}

const rings = `
import sys
from swift.common.ring import RingBuilder
folder, *ports = sys.argv[1:]
for name, port in zip(['account', 'container', 'object'], ports):
    builder = RingBuilder(0, 1, 1)
    builder.add_dev({'region': 1, 'zone': 1, 'weight': 1, 'ip': '127.0.0.1', 'port': int(port), 'device': 'disk',
                     'replication_ip': '127.0.0.1', 'replication_port': int(port)})
    builder.rebalance()
    builder.get_ring().save('%s/%s.ring.gz' % (folder, name))
`

async function configure(folder: string, path: string, ports: Ports, secret: string): Promise<void> {
  await mkdir(join(folder, 'devices/disk'), { recursive: true })
  const common = (port: number) => `[DEFAULT]
bind_ip = 127.0.0.1
bind_port = ${port}
workers = 0
user = ${userInfo().username}
swift_dir = ${folder}
devices = ${folder}/devices
mount_check = false
disable_fallocate = true
log_level = ERROR
`
  const storage = (name: string, port: number) => `${common(port)}
[pipeline:main]
pipeline = healthcheck ${name}-server
[app:${name}-server]
use = egg:swift#${name}
${name === 'object' ? 'container_update_timeout = 30\n' : ''}[filter:healthcheck]
use = egg:swift#healthcheck
`
  await writeFile(join(folder, 'swift.conf'), '[swift-hash]\nswift_hash_path_suffix = test\n')
  for (const name of ['account', 'container', 'object'] as const) {
    await writeFile(join(folder, `${name}.conf`), storage(name, ports[name]))
  }
  const proxy = `${common(ports.proxy)}
[pipeline:main]
pipeline = catch_errors healthcheck cache s3api tempauth bulk slo dlo copy proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
node_timeout = 30
conn_timeout = 10
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = ${secret} .admin
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:${ports.memcached}
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
${['catch_errors', 'healthcheck', 'bulk', 'slo', 'dlo', 'copy'].map((name) => `[filter:${name}]\nuse = egg:swift#${name}\n`).join('')}`
  await writeFile(join(folder, 'proxy.conf'), proxy, { mode: 0o600 })
  const python = join(dirname(path), 'python3')
  await promisify(execFile)(python, ['-c', rings, folder, ...[ports.account, ports.container, ports.object].map(String)], {
    timeout: 30_000,
  })
}
