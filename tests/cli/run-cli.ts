import type { MessageInitShape } from '@bufbuild/protobuf'
import type { ProviderTypeSchema } from '../../proto/gen/cloudmoor/v1/provider_pb.js'
import type { Cli } from '../../src-cli/cli.ts'
import { exitCodes } from '../../src-cli/exit-codes.ts'
import { Failure } from '../../src-cli/failure.ts'
import type { Prompts } from '../../src-cli/prompts.ts'
import { run } from '../../src-cli/run.ts'
import type { Service } from '../../src-cli/service.ts'
import type { Calls } from './fake-service.ts'
import { fakeConnection } from './fake-service.ts'

export interface Result {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  readonly calls: Calls
}

export interface World {
  readonly service?: 'up' | 'down'
  readonly stdin?: string
  readonly prompts?: Prompts
  readonly withoutVault?: boolean
  /** Provider types of the fake service; made up unless given. */
  readonly types?: readonly MessageInitShape<typeof ProviderTypeSchema>[]
}

/** Runs one command line against the fake service. */
export async function runCli(args: readonly string[], world: World = {}): Promise<Result> {
  const out: string[] = []
  const err: string[] = []
  const calls: Calls = { withoutVault: world.withoutVault ?? false }
  const place = { path: '/run/user/7/cloudmoor/service.sock', from: 'user' } as const
  const connect = (): Promise<Service> =>
    world.service === 'down'
      ? Promise.reject(
          new Failure(`no service answers (looked at ${place.path})`, {
            exitCode: exitCodes.noService,
            reason: 'NO_SERVICE',
            hint: 'cloudmoor service start',
          }),
        )
      : Promise.resolve({ ...fakeConnection(calls, world.types), place })
  const cli: Cli = {
    output: {
      json: args.includes('--json'),
      interactive: false,
      print: (text) => out.push(text),
      note: (text) => err.push(text),
    },
    prompts: world.prompts ?? null,
    readStdin: () => Promise.resolve(world.stdin ?? ''),
    places: () => [place],
    connect,
    connectOrStart: connect,
    startWith: connect,
    signal: new AbortController().signal,
  }
  const code = await run(cli, args)
  return { code, stdout: out.map((line) => `${line}\n`).join(''), stderr: err.map((line) => `${line}\n`).join(''), calls }
}
