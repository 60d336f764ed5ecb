import { getOption, hasOption, ScalarType } from '@bufbuild/protobuf'
import type { DescEnum, DescField, DescMessage } from '@bufbuild/protobuf'
import type { FieldRule } from '../gen/cloudmoor/v1/rules_pb.js'
import { rule as ruleOption } from '../gen/cloudmoor/v1/rules_pb.js'

/** A JSON Schema (draft 2020-12), as far as we write one. */
export interface Schema {
  readonly [keyword: string]: unknown
}

/** Comment of a descriptor; '' = none. */
export type Describe = (desc: DescMessage | DescEnum | DescField) => string

export const noComments: Describe = () => ''

/** The protobuf JSON mapping of these types as JSON Schema. */
const wellKnown: Readonly<Record<string, Schema>> = {
  'google.protobuf.Timestamp': { type: 'string', format: 'date-time' },
  'google.protobuf.Duration': { type: 'string', pattern: '^-?[0-9]{1,9}(\\.[0-9]{1,9})?s$' },
  'google.protobuf.FieldMask': {
    type: 'string',
    pattern: '^([A-Za-z][A-Za-z0-9]*(\\.[A-Za-z][A-Za-z0-9]*)*(,[A-Za-z][A-Za-z0-9]*(\\.[A-Za-z][A-Za-z0-9]*)*)*)?$',
  },
  'google.protobuf.Struct': { type: 'object', additionalProperties: true },
  'google.protobuf.Value': {},
  'google.protobuf.ListValue': { type: 'array', items: {} },
  'google.protobuf.Empty': { type: 'object', additionalProperties: false },
  'google.protobuf.Any': { type: 'object', properties: { '@type': { type: 'string' } }, required: ['@type'], additionalProperties: true },
}

const digits = '^(0|[1-9][0-9]{0,14})$'
const signedDigits = '^-?(0|[1-9][0-9]{0,14})$'
/** Most that `digits` says, and what every reader of JSON can tell apart. */
const safe = 999_999_999_999_999

/** True for messages that JSON writes as one text. */
export function isTextual(message: DescMessage): boolean {
  return wellKnown[message.typeName]?.['type'] === 'string'
}

export function ruleOf(field: DescField): FieldRule | null {
  return hasOption(field, ruleOption) ? getOption(field, ruleOption) : null
}

/** Name of a message or enum among the components: the full name without the package. */
export function componentName(desc: DescMessage | DescEnum): string {
  const name = desc.typeName.slice(desc.file.proto.package.length + 1)
  return desc.file.proto.package === 'cloudmoor.v1' ? name.replaceAll('.', '_') : desc.typeName.replaceAll('.', '_')
}

/** Collects the schemas that others refer to. */
export interface Components {
  readonly schemas: Map<string, Schema>
  readonly describe: Describe
}

/** Schema of a message's fields but those in `without` (JSON names); what it refers to is added to the components. */
export function objectSchema(message: DescMessage, components: Components, without: readonly string[] = []): Schema {
  const fields = message.fields.filter((field) => !without.includes(field.jsonName))
  const properties = Object.fromEntries(fields.map((field) => [field.jsonName, fieldSchema(field, components)]))
  const required = fields.filter((field) => ruleOf(field)?.required === true).map((field) => field.jsonName)
  const exclusive = message.oneofs.flatMap((oneof) => pairs(oneof.fields.map((field) => field.jsonName)))
  return {
    type: 'object',
    ...described(components.describe(message)),
    properties,
    ...(required.length === 0 ? {} : { required }),
    ...(exclusive.length === 0 ? {} : { allOf: exclusive.map((names) => ({ not: { required: names } })) }),
    additionalProperties: false,
  }
}

/** A schema for the value of a message: a reference, or what JSON writes for a well-known type. */
export function messageSchema(message: DescMessage, components: Components): Schema {
  const known = wellKnown[message.typeName]
  if (known !== undefined) return known
  const name = componentName(message)
  if (!components.schemas.has(name)) {
    // Before its fields: they may refer back to it.
    components.schemas.set(name, {})
    components.schemas.set(name, objectSchema(message, components))
  }
  return { $ref: `#/components/schemas/${name}` }
}

/** A copy of a schema without some of its keywords. */
export function withoutKeywords(schema: Schema, ...keywords: readonly string[]): Schema {
  return Object.fromEntries(Object.entries(schema).filter(([keyword]) => !keywords.includes(keyword)))
}

export function fieldSchema(field: DescField, components: Components): Schema {
  const rule = ruleOf(field)
  const comment = { ...described(components.describe(field)), ...(rule?.outputOnly === true ? { readOnly: true } : {}) }
  switch (field.fieldKind) {
    case 'scalar':
      return { ...scalarSchema(field.scalar, rule), ...comment }
    case 'enum':
      return { ...enumSchema(field.enum, rule?.required === true, components), ...comment }
    case 'message':
      return { ...valueSchema(field.message, rule, components), ...comment }
    case 'list':
      return { type: 'array', items: itemSchema(field, rule, components), ...itemBounds(rule, 'Items'), ...comment }
    case 'map':
      return { type: 'object', additionalProperties: itemSchema(field, rule, components), ...itemBounds(rule, 'Properties'), ...comment }
  }
}

function itemSchema(field: DescField & { fieldKind: 'list' | 'map' }, rule: FieldRule | null, components: Components): Schema {
  const kind = field.fieldKind === 'list' ? field.listKind : field.mapKind
  if (kind === 'enum' && field.enum !== undefined) return enumSchema(field.enum, true, components)
  if (kind === 'message' && field.message !== undefined) return messageSchema(field.message, components)
  return scalarSchema(field.scalar ?? ScalarType.STRING, rule)
}

function valueSchema(message: DescMessage, rule: FieldRule | null, components: Components): Schema {
  const schema = { ...messageSchema(message, components), ...narrowed(message, rule) }
  if (rule === null || rule.requiredFields.length === 0) return schema
  return { ...schema, required: [...rule.requiredFields] }
}

/** What a rule says of the value of a well-known type. */
function narrowed(message: DescMessage, rule: FieldRule | null): Schema {
  if (rule?.scalarValues === true) return { additionalProperties: { type: ['string', 'number', 'boolean'] } }
  return rule !== null && rule.pattern !== '' && isTextual(message) ? { pattern: rule.pattern } : {}
}

/** @param given the enum has to say something */
function enumSchema(desc: DescEnum, given: boolean, components: Components): Schema {
  if (desc.typeName === 'google.protobuf.NullValue') return { type: 'null' }
  const name = componentName(desc)
  if (!components.schemas.has(name)) {
    components.schemas.set(name, {
      type: 'string',
      ...described(components.describe(desc)),
      enum: desc.values.map((value) => value.name),
    })
  }
  if (given) return { type: 'string', enum: desc.values.filter((value) => value.number !== 0).map((value) => value.name) }
  return { $ref: `#/components/schemas/${name}` }
}

function scalarSchema(scalar: ScalarType, rule: FieldRule | null): Schema {
  switch (scalar) {
    case ScalarType.STRING:
      return { type: 'string', ...textBounds(rule) }
    case ScalarType.BYTES:
      return { type: 'string', contentEncoding: 'base64', pattern: '^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$' }
    case ScalarType.BOOL:
      return { type: 'boolean' }
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return { type: 'number', ...bounds(rule, null, null) }
    case ScalarType.INT32:
    case ScalarType.SINT32:
    case ScalarType.SFIXED32:
      return { type: 'integer', ...bounds(rule, -2_147_483_648, 2_147_483_647) }
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return { type: 'integer', ...bounds(rule, 0, 4_294_967_295) }
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return { type: ['string', 'integer'], pattern: digits, ...bounds(rule, 0, safe) }
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return { type: ['string', 'integer'], pattern: signedDigits, ...bounds(rule, -safe, safe) }
  }
}

function textBounds(rule: FieldRule | null): Schema {
  const least = rule === null ? 0 : Math.max(rule.minLength, rule.required ? 1 : 0)
  return {
    ...(least === 0 ? {} : { minLength: least }),
    ...(rule === null || rule.maxLength === 0 ? {} : { maxLength: rule.maxLength }),
    pattern: rule === null || rule.pattern === '' ? '^[^\\u0000]*$' : rule.pattern,
  }
}

function bounds(rule: FieldRule | null, least: number | null, most: number | null): Schema {
  const minimum = rule?.minimum === undefined ? least : Number(rule.minimum)
  const maximum = rule?.maximum === undefined ? most : Number(rule.maximum)
  return { ...(minimum === null ? {} : { minimum }), ...(maximum === null ? {} : { maximum }) }
}

function itemBounds(rule: FieldRule | null, what: 'Items' | 'Properties'): Schema {
  if (rule === null) return {}
  const least = Math.max(rule.minItems, rule.required ? 1 : 0)
  return { ...(least === 0 ? {} : { [`min${what}`]: least }), ...(rule.maxItems === 0 ? {} : { [`max${what}`]: rule.maxItems }) }
}

function described(description: string): Schema {
  return description === '' ? {} : { description }
}

function pairs(names: readonly string[]): string[][] {
  return names.flatMap((left, index) => names.slice(index + 1).map((right) => [left, right]))
}
