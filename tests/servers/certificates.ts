/** Certificates of one run: an authority, a server and a client that it vouches for, and one for which nobody does. */
import { generate } from 'selfsigned'

export interface Pair {
  readonly cert: string
  readonly key: string
}

export interface Certificates {
  readonly authority: Pair
  readonly server: Pair
  readonly client: Pair
  readonly selfSigned: Pair
}

const names = {
  name: 'subjectAltName' as const,
  altNames: [
    { type: 7 as const, ip: '127.0.0.1' },
    { type: 2 as const, value: 'localhost' },
  ],
}
const usage = { name: 'keyUsage' as const, digitalSignature: true, keyEncipherment: true }
const common = { keyType: 'ec' as const, algorithm: 'sha256' }

export async function makeCertificates(): Promise<Certificates> {
  const called = (value: string) => [{ name: 'commonName', value }]
  const authority = await generate(called('CloudMoor test authority'), {
    ...common,
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  })
  const ca = { key: authority.private, cert: authority.cert }
  const leaf = { ...common, ca, extensions: [{ name: 'basicConstraints' as const, cA: false }, usage, names] }
  const server = await generate(called('localhost'), leaf)
  const client = await generate(called('ada'), leaf)
  const selfSigned = await generate(called('localhost'), { ...common, extensions: [usage, names] })
  const pair = ({ cert, private: key }: { readonly cert: string; readonly private: string }): Pair => ({ cert, key })
  return { authority: pair(authority), server: pair(server), client: pair(client), selfSigned: pair(selfSigned) }
}
