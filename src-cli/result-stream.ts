import { fstatSync, writeSync } from 'node:fs'
import { fileFailure } from './local-files.ts'

/**
 * Prints lines to stdout. To a file they are written here: a full disk takes a part of what it is given, which Node's own stream does
 * not look at, and half of an export must not count as one. That throws a Failure.
 */
export function printer(stdout: NodeJS.WriteStream): (line: string) => void {
  // A reader that has seen enough (`| head`) is no error.
  stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
  const target = fstatSync(1)
  if (stdout.isTTY || target.isFIFO() || target.isSocket()) return (line) => stdout.write(`${line}\n`)
  return (line) => {
    const bytes = Buffer.from(`${line}\n`)
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(1, bytes, done)
    } catch (error) {
      throw fileFailure(error, 'the output') ?? error
    }
  }
}
