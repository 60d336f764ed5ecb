import { createPrivateKey, X509Certificate } from 'node:crypto'
import { open, readFile, rename } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { CloudError } from '../../common/errors.ts'
import type { Certificate } from './web-listener.ts'

const validDays = 825
const renewDays = 30

/** A certificate out of two PEM files of the administrator. Throws `invalid` with the reason. */
export async function readCertificate(certFile: string, keyFile: string): Promise<Certificate> {
  try {
    const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')])
    // Throws for what is none.
    if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)))
      throw new CloudError('invalid', `the key ${keyFile} is not its own`)
    return { cert, key }
  } catch (caught) {
    throw new CloudError('invalid', `the certificate ${certFile} cannot be used: ${CloudError.from(caught).message}`, { cause: caught })
  }
}

/** The self-made certificate of a folder; made when there is none yet, or it is about to end. The key is for this user alone. */
export async function selfMadeCertificate(folder: string, addresses: readonly string[], now: number): Promise<Certificate> {
  const path = join(folder, 'self-signed.pem')
  const known = await readFile(path, 'utf8').then(split, () => null)
  if (known !== null && isGood(known, addresses, now)) return known
  const names = [
    { type: 2 as const, value: 'localhost' },
    { type: 2 as const, value: hostname() },
    ...addresses.map((ip) => ({ type: 7 as const, ip })),
  ]
  // Made once in years: until then its libraries take no memory.
  const { generate } = await import('selfsigned')
  const made = await generate([{ name: 'commonName', value: hostname() }], {
    ...{ keyType: 'ec', curve: 'P-256', algorithm: 'sha256' },
    ...{ notBeforeDate: new Date(now - 3600_000), notAfterDate: new Date(now + validDays * 86_400_000) },
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames: names },
    ],
  })
  const pem = `${made.cert.trim()}\n${made.private.trim()}\n`
  const file = await open(`${path}.unfinished`, 'w', 0o600)
  try {
    await file.writeFile(pem)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(`${path}.unfinished`, path)
  return split(pem) ?? { cert: made.cert, key: made.private }
}

/** What people compare: SHA-256 of the certificate, as browsers show it. */
export function fingerprintOf({ cert }: Certificate): string {
  return new X509Certificate(cert).fingerprint256
}

function split(pem: string): Certificate | null {
  const at = pem.indexOf('-----END CERTIFICATE-----') + '-----END CERTIFICATE-----'.length
  return pem.includes('PRIVATE KEY') ? { cert: `${pem.slice(0, at)}\n`, key: pem.slice(at).trim() } : null
}

function isGood({ cert }: Certificate, addresses: readonly string[], now: number): boolean {
  try {
    const known = new X509Certificate(cert)
    return Date.parse(known.validTo) - now > renewDays * 86_400_000 && addresses.every((address) => known.checkIP(address) !== undefined)
  } catch {
    return false
  }
}
