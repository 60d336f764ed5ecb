import { getOption, hasOption } from '@bufbuild/protobuf'
import type { DescFile, DescMessage, DescMethod } from '@bufbuild/protobuf'
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
 * audit class and an HTTP rule, and names the field of every mount and provider that its request carries.
 */
export function findPolicyFaults(files: readonly DescFile[]): string[] {
  return files.flatMap((file) => file.services.flatMap((service) => service.methods.flatMap(methodFaults)))
}

function methodFaults(method: DescMethod): string[] {
  const name = `${method.parent.typeName}.${method.name}`
  if (!hasOption(method, policy)) return [`${name} has no policy`]
  const rule = getOption(method, policy)
  const faults: string[] = []
  if (rule.role === Role.UNSPECIFIED) faults.push(`${name} has no role`)
  if (rule.audit === AuditClass.UNSPECIFIED) faults.push(`${name} has no audit class`)
  if (!hasOption(method, http)) faults.push(`${name} has no google.api.http rule`)
  for (const field of carriedFields(method, 'mount')) {
    if (rule.mountField !== field) faults.push(`${name} carries a mount in ${field}, but mount_field is '${rule.mountField}'`)
  }
  for (const field of carriedFields(method, 'provider')) {
    if (rule.providerField !== field) faults.push(`${name} carries a provider in ${field}, but provider_field is '${rule.providerField}'`)
  }
  for (const field of [rule.mountField, rule.providerField]) {
    if (field !== '' && !isStringField(method.input, field))
      faults.push(`${name} names the field ${field}, which its request does not have`)
  }
  return faults
}

/** Paths of the fields in a request that say which mount (or provider): `mount_id`, `mount.id`, and `id` in a service of mounts. */
function carriedFields(method: DescMethod, noun: 'mount' | 'provider'): string[] {
  const own = method.parent.name.toLowerCase() === `${noun}service`
  const paths: string[] = []
  for (const field of method.input.fields) {
    if (field.name === `${noun}_id` || (own && field.name === 'id')) paths.push(field.name)
    if (field.message === undefined || field.message.file !== method.input.file) continue
    for (const inner of field.message.fields) {
      if (inner.name === `${noun}_id` || (field.name === noun && inner.name === 'id')) paths.push(`${field.name}.${inner.name}`)
    }
  }
  return paths
}

function isStringField(message: DescMessage, path: string): boolean {
  const [first, ...rest] = path.split('.')
  const field = message.fields.find((candidate) => candidate.name === first)
  if (field === undefined) return false
  if (rest.length > 0) return field.message !== undefined && isStringField(field.message, rest.join('.'))
  return field.fieldKind === 'scalar'
}
