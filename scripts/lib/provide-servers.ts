/**
 * Makes the servers that integration tests use available before the first test: building one takes minutes, once.
 * With --path the place of MinIO is printed on stdout, and it is an error if there is none.
 */
import { findApache } from '../../tests/servers/apache.ts'
import { findGrpcurl } from '../../tests/servers/grpcurl.ts'
import { findMinio } from '../../tests/servers/minio.ts'
import { findMoto } from '../../tests/servers/moto.ts'
import { findNginx } from '../../tests/servers/nginx.ts'
import { findRcloneProgram } from '../../tests/servers/rclone.ts'
import { findSchemathesis } from '../../tests/servers/schemathesis.ts'
import { findSwift } from '../../tests/servers/swift.ts'
import { findVersitygw } from '../../tests/servers/versitygw.ts'

const minio = await findMinio()
if (process.argv.includes('--path')) {
  if ('missing' in minio) process.exitCode = 1
  else process.stdout.write(`${minio.path}\n`)
} else {
  const others = [findVersitygw, findSwift, findApache, findNginx, findMoto, findGrpcurl, findRcloneProgram, findSchemathesis]
  for (const find of others) tellMissing(await find())
}
tellMissing(minio)

function tellMissing(found: { readonly path: string } | { readonly root: string } | { readonly missing: string }): void {
  if ('missing' in found) process.stderr.write(`not available, its tests are skipped: ${found.missing}\n`)
}
