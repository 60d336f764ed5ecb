/** Makes the servers that integration tests use available before the first test: building one takes minutes, once. */
import { findMinio } from '../../tests/servers/minio.ts'

const found = await findMinio()
process.stderr.write(
  'missing' in found ? `MinIO is not available, its tests will be skipped: ${found.missing}\n` : `MinIO: ${found.path}\n`,
)
