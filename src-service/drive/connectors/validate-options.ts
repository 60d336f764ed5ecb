/** Options against a provider type's descriptor. Data and arithmetic: the service and its clients use it as well. */
import type { ErrorObject, ValidateFunction } from 'ajv/dist/2020.js'
import { ownSchemas } from '../../common/own-schemas.ts'
import type { Descriptor, OptionSchema } from './connector.ts'

export type OptionValue = string | number | boolean

export interface OptionProblem {
  readonly option: string
  readonly reason: 'unknown' | 'missing' | 'secret-in-clear' | 'not-secret' | 'invalid'
  /** One English sentence. */
  readonly message: string
  /** The known option that was probably meant. */
  readonly nearest?: string
}

export interface GivenOptions {
  /** As text (a command line) or typed (a form). */
  readonly options: Readonly<Record<string, OptionValue>>
  /** Names of the secrets that are given or already stored; their values are nobody's business here. */
  readonly secrets: readonly string[]
}

export interface ValidatedOptions {
  /** Typed as the schema says; only of use without problems. */
  readonly values: Readonly<Record<string, OptionValue>>
  readonly problems: readonly OptionProblem[]
}

const compiled = new WeakMap<Descriptor, ValidateFunction>()

/** Never throws for what people may give; an empty `problems` means that `openConnector` will know every option. */
export function validateOptions(descriptor: Descriptor, given: GivenOptions): ValidatedOptions {
  const problems = misplaced(descriptor, given)
  const known = new Set(problems.map((problem) => problem.option))
  const values: Record<string, OptionValue> = {}
  for (const [name, value] of Object.entries(given.options)) if (!known.has(name)) values[name] = value
  const validate = validatorOf(descriptor)
  // Stands in for the secrets, so that "required" can be said of them too.
  const secrets = given.secrets.filter((name) => !known.has(name))
  const candidate = { ...values, ...Object.fromEntries(secrets.map((name) => [name, 'secret'])) }
  if (!validate(candidate)) problems.push(...(validate.errors ?? []).map((error) => problemOf(descriptor, error)))
  problems.push(...missingWithoutOthers(descriptor, candidate))
  for (const name of Object.keys(values)) values[name] = candidate[name] ?? values[name] ?? ''
  return { values, problems: problems.filter((problem, index) => problems.findIndex((other) => other.option === problem.option) === index) }
}

/** Names that do not exist, and values that came by the wrong way. */
function misplaced(descriptor: Descriptor, { options, secrets }: GivenOptions): OptionProblem[] {
  const { properties } = descriptor.options
  const problems: OptionProblem[] = []
  for (const name of [...Object.keys(options), ...secrets]) {
    if (!Object.hasOwn(properties, name)) problems.push(unknownOption(descriptor, name))
  }
  for (const name of Object.keys(options)) {
    if (!properties[name]?.secret) continue
    problems.push({
      option: name,
      reason: 'secret-in-clear',
      message: `${name} is a secret: give it with --set-secret ${name}=- or =@file.`,
    })
  }
  for (const name of secrets) {
    if (!properties[name] || properties[name].secret) continue
    problems.push({ option: name, reason: 'not-secret', message: `${name} is not a secret: give it with --set ${name}=value.` })
  }
  return problems
}

function unknownOption(descriptor: Descriptor, name: string): OptionProblem {
  const nearest = nearestName(name, Object.keys(descriptor.options.properties))
  const message = `${descriptor.type} has no option ${name}.`
  if (nearest === undefined) {
    return { option: name, reason: 'unknown', message: `${message} It has: ${Object.keys(descriptor.options.properties).join(', ')}.` }
  }
  return { option: name, reason: 'unknown', message: `${message} Did you mean ${nearest}?`, nearest }
}

function missingWithoutOthers(descriptor: Descriptor, given: Readonly<Record<string, OptionValue>>): OptionProblem[] {
  const isSet = (name: string) => given[name] !== undefined && given[name] !== false && given[name] !== ''
  return Object.entries(descriptor.options.properties).flatMap(([name, { requiredUnless }]) =>
    requiredUnless === undefined || [name, ...requiredUnless].some(isSet) ? [] : [missingOption(descriptor, name)],
  )
}

function missingOption(descriptor: Descriptor, name: string): OptionProblem {
  const way = descriptor.options.properties[name]?.secret ? `--set-secret ${name}=-` : `--set ${name}=value`
  return { option: name, reason: 'missing', message: `${descriptor.type} needs the option ${name}: give it with ${way}.` }
}

function problemOf(descriptor: Descriptor, error: ErrorObject): OptionProblem {
  const missing: unknown = error.params['missingProperty']
  if (typeof missing === 'string') return missingOption(descriptor, missing)
  const option = error.instancePath.slice(1)
  const schema = descriptor.options.properties[option]
  return { option, reason: 'invalid', message: `${option} ${error.message ?? 'is not valid'}${schema ? expectation(schema) : ''}.` }
}

function expectation({ enum: choices, examples }: OptionSchema): string {
  if (choices) return `: ${choices.join(', ')}`
  return examples?.[0] === undefined ? '' : `, for example ${examples[0]}`
}

function validatorOf(descriptor: Descriptor): ValidateFunction {
  let validate = compiled.get(descriptor)
  if (!validate) {
    const ajv = ownSchemas({ allErrors: true, coerceTypes: true })
    ajv.addVocabulary(['secret', 'trusted', 'environment', 'advanced', 'destination', 'exposes', 'place', 'requiredUnless'])
    ajv.addFormat('uri', (text) => URL.canParse(text))
    ajv.addFormat('path', /^\//)
    ajv.addFormat('host', /^[A-Za-z0-9.:_-]+$/)
    validate = ajv.compile(descriptor.options)
    compiled.set(descriptor, validate)
  }
  return validate
}

/** The name with the fewest edits, if that is few enough to have been a slip. */
export function nearestName(name: string, names: readonly string[]): string | undefined {
  const wanted = name.toLowerCase()
  const ranked = names
    .map((candidate) => ({ candidate, edits: editDistance(wanted, candidate.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits)
  const best = ranked[0]
  return best && best.edits <= Math.max(2, Math.floor(name.length / 3)) ? best.candidate : undefined
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
