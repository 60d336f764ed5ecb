import { readFile } from 'node:fs/promises'

export interface KernelMount {
  readonly path: string
  readonly name: string
}

/** CloudMoor's mounts as the kernel lists them, served or not. Nothing is asked of the mounts. Empty where there is no /proc. */
export async function leftMounts(): Promise<KernelMount[]> {
  let text: string
  try {
    text = await readFile('/proc/self/mountinfo', 'utf8')
  } catch {
    return []
  }
  return parseMountInfo(text)
}

/** Fields of a line: id, parent, device, root, mount point, options, optional fields, `-`, type, source, … (proc(5)). */
export function parseMountInfo(text: string): KernelMount[] {
  return text.split('\n').flatMap((line) => {
    const fields = line.split(' ')
    const separator = fields.indexOf('-', 6)
    const type = fields[separator + 1] ?? ''
    const source = unescape(fields[separator + 2] ?? '')
    if (separator === -1 || !/^fuse(\.|$)/.test(type) || !source.startsWith('cloudmoor:')) return []
    return [{ path: unescape(fields[4] ?? ''), name: source.slice('cloudmoor:'.length) }]
  })
}

/** The kernel writes space, tab, newline and backslash as octal. */
function unescape(field: string): string {
  const bytes = field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)))
  return bytes
}
