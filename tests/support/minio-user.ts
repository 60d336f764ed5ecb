/** Makes a user of a MinIO server: its root account cannot assume roles. */
import { createCipheriv, randomBytes } from 'node:crypto'
import { hashRaw } from '@node-rs/argon2'
import { rawClient } from '../conformance/s3-bench.ts'
import type { S3Server } from '../servers/minio.ts'

export interface MinioUser {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** The package's name for it is a constant that only its own compiler can read. */
const argon2id = 2

/** @param policy one of the server's own: `readwrite`, `readonly` … */
export async function makeMinioUser(server: S3Server, policy: string): Promise<MinioUser> {
  const user: MinioUser = { accessKeyId: `user${randomBytes(6).toString('hex')}`, secretAccessKey: randomBytes(20).toString('hex') }
  const client = rawClient(server)
  const put = async (call: string, query: readonly (readonly [string, string])[], body: Buffer) => {
    const headers = { 'content-length': String(body.length) }
    const key = Buffer.from(`minio/admin/v3/${call}`)
    await client.head({ method: 'PUT', bucket: null, key, query, headers, body }, AbortSignal.timeout(15_000))
  }
  try {
    const facts = Buffer.from(JSON.stringify({ secretKey: user.secretAccessKey, status: 'enabled' }))
    await put('add-user', [['accessKey', user.accessKeyId]], await encrypted(server.secretAccessKey, facts))
    const grant = [
      ['policyName', policy],
      ['userOrGroup', user.accessKeyId],
      ['isGroup', 'false'],
    ] as const
    await put('set-user-or-group-policy', grant, Buffer.alloc(0))
  } finally {
    await client.close()
  }
  return user
}

/** As the server's administration wants it: salt, kind of cipher, nonce, and one sealed fragment with its authenticated header. */
async function encrypted(password: string, plain: Buffer): Promise<Buffer> {
  const [salt, nonce] = [randomBytes(32), randomBytes(8)]
  const options = { algorithm: argon2id, memoryCost: 64 * 1024, timeCost: 1, parallelism: 4, outputLen: 32, salt }
  const key = await hashRaw(password, options)
  const seal = (number: number, additional: Buffer, data: Buffer) => {
    const counter = Buffer.alloc(4)
    counter.writeUInt32LE(number)
    const cipher = createCipheriv('aes-256-gcm', key, Buffer.concat([nonce, counter]))
    cipher.setAAD(additional)
    return Buffer.concat([cipher.update(data), cipher.final(), cipher.getAuthTag()])
  }
  const header = seal(0, Buffer.alloc(0), Buffer.alloc(0))
  const last = Buffer.from([0x80])
  return Buffer.concat([salt, Buffer.from([0]), nonce, seal(1, Buffer.concat([last, header]), plain)])
}
