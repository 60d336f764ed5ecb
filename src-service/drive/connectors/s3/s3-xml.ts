/** Answers in XML, read as untrusted: bounded before, without entities of their own, every field checked. */
import { XMLParser } from 'fast-xml-parser'
import { CloudError } from '../../../common/errors.ts'

export type XmlNode = Readonly<Record<string, unknown>>

const lists = new Set(['Contents', 'CommonPrefixes', 'Part', 'Bucket', 'Upload'])

const parser = new XMLParser({
  ignoreAttributes: true,
  removeNSPrefix: true,
  parseTagValue: false,
  processEntities: false,
  trimValues: false,
  isArray: (name) => lists.has(name),
})

/** The root element `name` of a document. @throws CloudError `garbage` for anything else */
export function parseXml(text: string, name: string): XmlNode {
  // The parser forgives a missing end; a listing that was cut off must not pass for a short one.
  const whole = new RegExp(`</(?:\\w+:)?${name}>\\s*$`).test(text)
  const root = whole ? childOf(parseAny(text), name) : null
  if (!root) throw new CloudError('garbage', `the answer is not a whole <${name}>: ${describe(text)}`)
  return root
}

/** The root element if the text is XML at all, else null; for error bodies. */
export function tryParseXml(text: string, name: string): XmlNode | null {
  try {
    return childOf(parseAny(text), name)
  } catch {
    return null
  }
}

function parseAny(text: string): XmlNode {
  if (text.includes('<!')) throw new CloudError('garbage', `the answer is not plain XML: ${describe(text)}`)
  try {
    const parsed: unknown = parser.parse(text)
    return isNode(parsed) ? parsed : {}
  } catch (caught) {
    throw new CloudError('garbage', `the answer is not XML: ${describe(text)}`, { cause: caught })
  }
}

export function childOf(node: XmlNode, name: string): XmlNode | null {
  const child = node[name]
  if (child === '') return {}
  return isNode(child) ? child : null
}

export function childrenOf(node: XmlNode, name: string): readonly XmlNode[] {
  const children = node[name]
  return Array.isArray(children) ? children.filter(isNode) : []
}

/** Text of a child; undefined when absent. */
export function textOf(node: XmlNode, name: string): string | undefined {
  const value = node[name]
  return typeof value === 'string' ? decodeEntities(value) : undefined
}

/** @throws CloudError `garbage` when absent */
export function requiredText(node: XmlNode, name: string): string {
  const value = textOf(node, name)
  if (value === undefined) throw new CloudError('garbage', `the answer has no <${name}>`)
  return value
}

/** @throws CloudError `garbage` for anything but a count */
export function requiredCount(node: XmlNode, name: string): number {
  const count = Number(requiredText(node, name))
  if (!Number.isSafeInteger(count) || count < 0) throw new CloudError('garbage', `<${name}> is not a count`)
  return count
}

/** What stands between the tags is ours and needs no more than this. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

const named: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

function decodeEntities(text: string): string {
  if (!text.includes('&')) return text
  return text.replace(/&(?:#(\d{1,7})|#x([0-9A-Fa-f]{1,6})|([a-z]{2,4}));/g, (whole, decimal, hex, name) => {
    if (typeof name === 'string') return named[name] ?? whole
    const code = typeof decimal === 'string' ? parseInt(decimal, 10) : parseInt(String(hex), 16)
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole
  })
}

function describe(text: string): string {
  return JSON.stringify(text.slice(0, 80))
}

function isNode(value: unknown): value is XmlNode {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
