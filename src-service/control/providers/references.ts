import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { CloudError } from '../../common/errors.ts'
import { Secret } from '../../common/secret.ts'

const mostBytes = 64 * 1024

/** True for a secret that is not in the vault but named by where it is: `env:NAME` or `file:/path`, as a provider's row keeps it. */
export function isReference(stored: string): boolean {
  return stored.startsWith('env:') || stored.startsWith('file:')
}

/** As a configuration file writes it: `${NAME}` or `file:/path`. */
export function writeReference(stored: string): string {
  return stored.startsWith('env:') ? `\${${stored.slice(4)}}` : stored
}

/** What a provider's row keeps for `${NAME}` or `file:/path`. */
export function readReference(written: string): string {
  const name = /^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$/.exec(written)?.[1]
  return name === undefined ? written : `env:${name}`
}

/** The value now. Throws `sign-in` with the name of what is missing, never with a value. One newline at the end is not part of it. */
export async function resolveReference(stored: string, env: Readonly<Record<string, string | undefined>>): Promise<Secret> {
  if (stored.startsWith('env:')) {
    const value = env[stored.slice(4)]
    if (value === undefined || value === '') throw missing(`the environment variable ${stored.slice(4)} is not set`)
    return new Secret(value)
  }
  return new Secret(await readSecretFile(stored.slice(5)))
}

async function readSecretFile(path: string): Promise<string> {
  try {
    // A pipe or a device must not be waited for.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const found = await file.stat()
      if (!found.isFile() || found.size > mostBytes) throw missing(`${path} is no file of at most ${mostBytes} bytes`)
      return (await file.readFile('utf8')).replace(/\r?\n$/, '')
    } finally {
      await file.close()
    }
  } catch (caught) {
    if (caught instanceof CloudError) throw caught
    throw missing(`${path} cannot be read (${CloudError.from(caught).kind})`)
  }
}

function missing(message: string): CloudError {
  return new CloudError('sign-in', message, { hint: 'The configuration takes a secret from there.' })
}
