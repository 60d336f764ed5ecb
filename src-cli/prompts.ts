import type * as Clack from '@clack/prompts'

/** Questions to the person at the terminal. */
export interface Prompts {
  text(question: string, initial: string): Promise<string>
  /** What is typed does not show. */
  secret(question: string): Promise<string>
  choose(question: string, choices: readonly { readonly value: string; readonly label: string }[]): Promise<string>
  confirm(question: string): Promise<boolean>
}

/** Ctrl-C at a question. */
export class PromptCancelled extends Error {
  override readonly name = 'PromptCancelled'
}

/** Questions on stderr, so that stdout stays the result. The library is loaded at the first question: most runs ask none. */
export function terminalPrompts(): Prompts {
  const output = process.stderr
  const ask = async <T>(question: (clack: typeof Clack) => Promise<T>): Promise<Exclude<T, symbol>> => {
    const answer = await question(await import('@clack/prompts'))
    if (typeof answer === 'symbol') throw new PromptCancelled()
    return answer as Exclude<T, symbol>
  }
  return {
    text: (message, initialValue) => ask((clack) => clack.text({ message, initialValue, output })),
    secret: (message) => ask((clack) => clack.password({ message, output })),
    choose: (message, choices) => ask((clack) => clack.select({ message, options: [...choices], output })),
    confirm: (message) => ask((clack) => clack.confirm({ message, initialValue: false, output })),
  }
}
