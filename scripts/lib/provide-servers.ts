/**
 * Makes the servers that integration tests use available before the first test: building one takes minutes, once.
 * With --path the place of MinIO is printed on stdout, and it is an error if there is none.
 */
import { findMinio } from '../../tests/servers/minio.ts'

const found = await findMinio()
if ('missing' in found) {
  process.stderr.write(`MinIO is not available, its tests are skipped: ${found.missing}\n`)
  if (process.argv.includes('--path')) process.exitCode = 1
} else if (process.argv.includes('--path')) process.stdout.write(`${found.path}\n`)
