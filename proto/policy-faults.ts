import { getOption, hasOption } from '@bufbuild/protobuf'
import type { DescField, DescFile, DescMessage, DescMethod } from '@bufbuild/protobuf'
import { readdir } from 'node:fs/promises'
import { AuditClass, policy, Role } from './gen/cloudmoor/v1/policy_pb.js'
import { http } from './gen/google/api/annotations_pb.js'

/** Every generated file of the public contract, so that a new one cannot be forgotten. */
export async function loadContract(): Promise<DescFile[]> {
  const folder = new URL('./gen/cloudmoor/v1/', import.meta.url)
  const files: DescFile[] = []
  for (const name of (await readdir(folder)).sort()) {
    if (!name.endsWith('_pb.js')) continue
    const module = (await import(new URL(name, folder).href)) as Record<string, unknown>
    for (const value of Object.values(module)) if (isFile(value)) files.push(value)
  }
  return files
}

function isFile(value: unknown): value is DescFile {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'file'
}

/**
 * What is wrong with the policies of these files, one line each; empty = nothing. A method needs a policy with role and
 * audit class and an HTTP rule, and names the field of every mount and provider that its request carries. An answer that
 * tells of mounts or providers that the request does not name is filtered, or for those only whose grant covers all mounts.
 */
export function findPolicyFaults(files: readonly DescFile[]): string[] {
  return files.flatMap((file) => file.services.flatMap((service) => service.methods.flatMap(methodFaults)))
}

type Noun = 'mount' | 'provider'

function methodFaults(method: DescMethod): string[] {
  const name = `${method.parent.typeName}.${method.name}`
  if (!hasOption(method, policy)) return [`${name} has no policy`]
  const rule = getOption(method, policy)
  const faults: string[] = []
  if ((rule.role === Role.UNSPECIFIED) !== rule.open) faults.push(`${name} has no role`)
  if (rule.audit === AuditClass.UNSPECIFIED) faults.push(`${name} has no audit class`)
  if (!hasOption(method, http)) faults.push(`${name} has no google.api.http rule`)
  const named: Readonly<Record<Noun, string>> = { mount: rule.mountField, provider: rule.providerField }
  // An admin's grant always covers all mounts.
  const whole = rule.wholeGrant || rule.role === Role.ADMIN
  for (const noun of ['mount', 'provider'] as const) {
    for (const field of carriedFields(method, noun)) {
      if (named[noun] === field || (whole && named[noun] === '' && field.includes('_ids'))) continue
      faults.push(`${name} carries a ${noun} in ${field}, but ${noun}_field is '${named[noun]}'`)
    }
    if (named[noun] !== '' && !isTextField(method.input, named[noun])) {
      faults.push(`${name} names the field ${named[noun]}, which its request does not have`)
    }
    const about = [named.mount, named.provider].some((field) => field !== '')
    if (!about && !whole && !rule.filtered && tellsOf(method.output, noun)) faults.push(`${name} tells of ${noun}s, but is not filtered`)
  }
  return faults
}

/** Paths of the fields in a request that say which mount (or provider): `mount_id`, `mount.id`, and `id` in a service of mounts. */
function carriedFields(method: DescMethod, noun: Noun): string[] {
  const own = method.parent.name.toLowerCase() === `${noun}service`
  return pathsIn(method.input, (field, parent) => {
    if (field.name === `${noun}_id` || field.name === `${noun}_ids`) return true
    return field.name === 'id' && (parent === null ? own : parent.name === noun || parent.message.name.toLowerCase() === noun)
  })
}

function tellsOf(message: DescMessage, noun: Noun): boolean {
  const is = (field: DescField) => field.name === `${noun}_id` || field.name === `${noun}_ids` || field.message?.name.toLowerCase() === noun
  return pathsIn(message, is).length > 0
}

/** Paths of the fields for which `wanted` is true, at any depth; a message within itself is looked at once. */
function pathsIn(
  message: DescMessage,
  wanted: (field: DescField, parent: { readonly name: string; readonly message: DescMessage } | null) => boolean,
): string[] {
  const paths: string[] = []
  const walk = (at: DescMessage, prefix: string, parent: { name: string; message: DescMessage } | null, above: readonly DescMessage[]) => {
    for (const field of at.fields) {
      const path = prefix + field.name
      if (wanted(field, parent)) paths.push(path)
      const inner = field.message
      if (inner === undefined || above.includes(inner)) continue
      walk(inner, `${path}.`, { name: field.name, message: inner }, [...above, inner])
    }
  }
  walk(message, '', null, [message])
  return paths
}

function isTextField(message: DescMessage, path: string): boolean {
  const [first, ...rest] = path.split('.')
  const field = message.fields.find((candidate) => candidate.name === first)
  if (field === undefined) return false
  if (rest.length > 0) return field.message !== undefined && isTextField(field.message, rest.join('.'))
  return field.fieldKind === 'scalar'
}
