/** Names and paths as they stand in addresses. */
import { CloudError } from '../../../common/errors.ts'
import type { RemotePlace } from '../connector.ts'

const dots: readonly Buffer[] = [Buffer.from('.'), Buffer.from('..')]
const longestName = 255

/** Encoded path of a place; of a folder with a slash at its end. @throws CloudError `name-invalid`, `name-too-long` */
export function pathOf(base: string, { path }: RemotePlace, as: 'file' | 'folder'): string {
  for (const name of path) {
    if (!isName(name)) throw new CloudError('name-invalid', 'not a name')
    if (name.length > longestName) throw new CloudError('name-too-long', `a name has at most ${longestName} bytes`)
  }
  const encoded = base + path.map(encodeName).join('/')
  return as === 'folder' && path.length > 0 ? `${encoded}/` : encoded
}

/** Can be a name on a drive. */
export function isName(name: Buffer): boolean {
  return name.length > 0 && !name.includes(0) && !name.includes(0x2f) && !dots.some((dot) => name.equals(dot))
}

/** Everything but letters, digits and `-._~` is escaped: servers disagree about the rest. */
export function encodeName(name: Buffer): string {
  let text = ''
  for (const byte of name) {
    const sign = String.fromCharCode(byte)
    text += /[A-Za-z0-9._~-]/.test(sign) ? sign : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return text
}

/** The names in an address or a path, decoded to their bytes. */
export function namesOf(href: string): Buffer[] {
  const path = href.replace(/^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/]*/, '')
  return path
    .split('/')
    .filter((name) => name !== '')
    .map(decodeName)
}

function decodeName(text: string): Buffer {
  const bytes = Buffer.from(text)
  if (!text.includes('%')) return bytes
  let length = 0
  for (let position = 0; position < bytes.length; position++) {
    const code = bytes[position] === 0x25 ? bytes.toString('latin1', position + 1, position + 3) : ''
    const escaped = /^[0-9A-Fa-f]{2}$/.test(code)
    bytes[length++] = escaped ? parseInt(code, 16) : (bytes[position] ?? 0)
    if (escaped) position += 2
  }
  return bytes.subarray(0, length)
}
