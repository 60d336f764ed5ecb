import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { JsonObject } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { exitCodes } from '../../src-cli/exit-codes.ts'
import { checks } from '../../scripts/lib/checks.ts'
import { descriptors } from '../../src-service/drive/connectors/manifest.ts'
import { runCli } from '../cli/run-cli.ts'
import { commandsOf, documents, inlineCommands, shellBlocks, words } from './documented-commands.ts'
import { projectRoot } from './project-root.ts'

const manifest = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as {
  readonly scripts: Readonly<Record<string, string>>
}

/** The provider types as they are, so that documented options are real ones. */
const types = descriptors.map((type) => ({
  id: type.type,
  title: type.title,
  docs: type.docs,
  optionsSchema: JSON.parse(JSON.stringify(type.options)) as JsonObject,
}))

/** Names and paths that stand for the reader's own. */
const concrete = (args: readonly string[]): string[] =>
  args.map(
    (arg) =>
      ({
        NAME: 'photos',
        CONFIG: 'photos',
        TYPE: 's3',
        PATH: '/home/ada/photos',
        DIR: '/home/ada/new',
        MOUNT: 'photos',
        KEY: 'secretAccessKey',
      })[arg] ?? arg,
  )

/** Undefined if the command could be run as it stands; else what is wrong with it. */
async function fault(command: string): Promise<string | undefined> {
  const [program = '', ...args] = words(command)
  if (program === 'cloudmoor' || program === 'bin/cloudmoor') return cloudmoorFault(args)
  if (program === 'npm') return npmFault(args)
  if (program === 'npx')
    return existsSync(join(projectRoot, 'node_modules/.bin', args[0] ?? '')) ? undefined : `no program ${args[0] ?? ''}`
  if (/^(\.\/)?(scripts|bin|\.ci|proto)\//.test(program)) return scriptFault(program)
  return undefined
}

async function cloudmoorFault(args: readonly string[]): Promise<string | undefined> {
  if (args.includes('…') || args.length === 0) return undefined
  const prompts = { text: answer, secret: answer, choose: answer, confirm: () => Promise.resolve(true) }
  const { code, stderr } = await runCli(concrete(args), { stdin: 'x\n', prompts, types })
  return code === exitCodes.usage && !/does not exist\n  -> Look at the path/.test(stderr) ? stderr : undefined
}

const answer = (): Promise<string> => Promise.resolve('x')

function npmFault(args: readonly string[]): string | undefined {
  if (args[0] === 'test') return manifest.scripts['test'] === undefined ? 'no script test' : undefined
  if (args[0] !== 'run') return undefined
  const [, name = '', separator, ...rest] = args
  if (manifest.scripts[name] === undefined) return `no script ${name}`
  if (name !== 'lint' || separator !== '--') return undefined
  return rest.find((check) => !checks.some((known) => known.name === check))
}

function scriptFault(program: string): string | undefined {
  try {
    accessSync(join(projectRoot, program), program.endsWith('/env') ? constants.R_OK : constants.X_OK)
    return undefined
  } catch {
    return `${program} cannot be run`
  }
}

const written = shellBlocks().flatMap((block) => commandsOf(block.text).map((command) => ({ place: block.place, command })))
const named = inlineCommands().filter(({ command }) => !command.includes('…'))

describe('every command in the documents can be run as it stands', () => {
  it('there are some', () => {
    expect(written.length + named.length).toBeGreaterThan(60)
  })

  it.each(written)('$place: $command', async ({ command }) => {
    expect(await fault(command)).toBeUndefined()
  })

  it.each(named)('$place names $command', async ({ command }) => {
    // Running text may name a command without its arguments.
    const found = await fault(command)
    if (found?.includes('missing required') !== true && found?.includes('required option') !== true) expect(found).toBeUndefined()
  })

  it.each([
    'cloudmoor config list --jsn',
    'cloudmoor config create x --provider s3 --set buckte=b',
    'npm run nothing',
    'npx nothing',
    'scripts/nothing',
  ])('sees that %s cannot', async (command) => {
    expect(await fault(command)).toBeDefined()
  })
})

it('links between documents lead somewhere', () => {
  const broken: string[] = []
  for (const file of documents) {
    const text = readFileSync(join(projectRoot, file), 'utf8')
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s#]+)[^)]*\)/g)) {
      if (/^[a-z]+:/.test(target) || target.startsWith('../../actions')) continue
      if (!existsSync(join(projectRoot, file, '..', target))) broken.push(`${file}: ${target}`)
    }
  }
  expect(broken).toEqual([])
})

it('every top-level folder says in at most 10 lines what it is', () => {
  const folders = readdirSync(projectRoot, { withFileTypes: true }).filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
  const made = new Set(['node_modules', 'build', 'dist'])
  const lines = folders
    .filter(({ name }) => !made.has(name))
    .map(
      ({ name }) =>
        [
          name,
          readFileSync(join(projectRoot, name, 'README.md'), 'utf8')
            .trimEnd()
            .split('\n').length,
        ] as const,
    )
  expect(lines.length).toBeGreaterThan(5)
  expect(lines.filter(([, count]) => count > 10)).toEqual([])
})
