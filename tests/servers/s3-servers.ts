/** Every S3 server that tests know, with the preset that fits it. */
import { findMinio, startMinio } from './minio.ts'
import type { S3Server } from './minio.ts'
import { findSwift, startSwift } from './swift.ts'
import type { Found } from './tool.ts'
import { findVersitygw, startVersitygw } from './versitygw.ts'

export interface S3ServerKind {
  readonly name: 'MinIO' | 'versitygw' | 'Swift'
  readonly preset: string
  readonly find: () => Promise<Found>
  readonly start: (path: string) => Promise<S3Server>
}

export const minio: S3ServerKind = { name: 'MinIO', preset: 'minio', find: findMinio, start: startMinio }
export const versitygw: S3ServerKind = { name: 'versitygw', preset: 'generic', find: findVersitygw, start: startVersitygw }
export const swift: S3ServerKind = { name: 'Swift', preset: 'swift', find: findSwift, start: startSwift }
