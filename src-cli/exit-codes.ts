/** Exit codes of `cloudmoor`; docs/cli.md is generated from the comments here. */
export const exitCodes = {
  /** Done. */
  ok: 0,
  /** Failed. */
  failed: 1,
  /** The command line is wrong; nothing was done. */
  usage: 2,
  /** The service does not run, or does not answer. */
  noService: 3,
  /** No provider, mount or path of this name. */
  notFound: 4,
  /** Refused in the present state: busy, unsent files, in use, exists already. */
  refused: 5,
  /** The provider cannot be reached or asks to wait; trying again later may help. */
  tryLater: 6,
  /** The provider does not accept the credentials. */
  signIn: 7,
} as const

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

export const exitCodeMeanings: readonly (readonly [code: ExitCode, meaning: string])[] = [
  [exitCodes.ok, 'done'],
  [exitCodes.failed, 'failed'],
  [exitCodes.usage, 'the command line is wrong; nothing was done'],
  [exitCodes.noService, 'the service does not run, or does not answer'],
  [exitCodes.notFound, 'no provider, mount or path of this name'],
  [exitCodes.refused, 'refused in the present state: busy, unsent files, in use, exists already'],
  [exitCodes.tryLater, 'the provider cannot be reached or asks to wait; trying again later may help'],
  [exitCodes.signIn, 'the provider does not accept the credentials'],
]
