import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectRoot } from './project-root.ts'

export interface Block {
  /** `docs/first-steps.md:12` */
  readonly place: string
  readonly runnable: boolean
  readonly text: string
}

export const documents = globSync(
  ['*.md', 'docs/**/*.md', 'src-*/README.md', 'tests/**/README.md', 'scripts/README.md', 'proto/README.md'],
  { cwd: projectRoot },
).filter((file) => file !== 'docs/cli.md' && !file.includes('node_modules'))

/** Every `sh` block of the documents. */
export function shellBlocks(): Block[] {
  return documents.flatMap((file) => {
    const text = readFileSync(join(projectRoot, file), 'utf8')
    return [...text.matchAll(/^```sh( runnable)?\n(.*?)^```$/gms)].map((match) => ({
      place: `${file}:${text.slice(0, match.index).split('\n').length}`,
      runnable: match[1] !== undefined,
      text: match[2] ?? '',
    }))
  })
}

/** Commands in running text: what stands in backticks and begins with one of ours. */
export function inlineCommands(): { readonly place: string; readonly command: string }[] {
  return documents.flatMap((file) => {
    const text = readFileSync(join(projectRoot, file), 'utf8').replaceAll(/^```.*?^```$/gms, (block) => block.replaceAll(/[^\n]/g, ' '))
    return [...text.matchAll(/`((?:(?:bin\/)?cloudmoor|npm run|npx|scripts\/[\w-]+|\.ci\/run|proto\/generate)(?: [^`]*)?)`/g)].map(
      (match) => ({
        place: `${file}:${text.slice(0, match.index).split('\n').length}`,
        command: match[1] ?? '',
      }),
    )
  })
}

/** The simple commands of a block: continuation lines joined, comments and pipes taken apart. */
export function commandsOf(text: string): string[] {
  return text
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .map((line) => line.replace(/(^|\s)#.*$/, ''))
    .flatMap((line) => line.split(/\s+(?:&&|\|\||\||;)\s+/))
    .map((command) => command.trim())
    .filter((command) => command !== '')
}

/** Splits as a shell does, as far as documents go: quotes and redirections. */
export function words(command: string): string[] {
  const found = command.matchAll(/(?:[^\s"']|"[^"]*"|'[^']*')+/g)
  const all = [...found].map((match) => match[0].replaceAll(/["']/g, ''))
  const redirection = all.findIndex((word) => /^\d?[<>]/.test(word))
  return redirection === -1 ? all : all.slice(0, redirection)
}
