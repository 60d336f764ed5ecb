import { spawn } from 'node:child_process'

export interface Outcome {
  readonly code: number | null
  readonly output: string
  readonly milliseconds: number
}

/**
 * Runs a program that may touch a mount, in a process of its own: this one never does. It is killed when the time is over, and its code
 * is null then.
 */
export function run(command: string, args: readonly string[], milliseconds = 30_000): Promise<Outcome> {
  const begun = performance.now()
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: '/', stdio: ['ignore', 'pipe', 'pipe'], timeout: milliseconds, killSignal: 'SIGKILL' })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, output: output.trim(), milliseconds: performance.now() - begun }))
  })
}

/** Runs a shell line; throws unless it ends with 0. */
export async function shell(line: string, milliseconds = 30_000): Promise<string> {
  const { code, output } = await run('sh', ['-c', line], milliseconds)
  if (code !== 0) throw new Error(`${line}: ${code ?? 'too slow'}\n${output}`)
  return output
}
