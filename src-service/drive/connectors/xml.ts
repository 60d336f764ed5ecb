/**
 * Answers in XML, read as untrusted. S3 and WebDAV write elements and text, nothing else, and a listing of a thousand names must not
 * hold up the loop: hence a reader for exactly that, strict where a general one forgives. An answer that was cut off, that
 * nests wrongly or that brings a DOCTYPE (and with it entities of its own) is garbage.
 */
import { CloudError } from '../../common/errors.ts'

export interface XmlNode {
  /** Without a namespace prefix. */
  readonly name: string
  readonly children: readonly XmlNode[]
  /** Raw, entities not yet decoded; of elements without children. */
  readonly text: string
}

interface OpenNode extends XmlNode {
  readonly children: OpenNode[]
  text: string
}

const deepest = 16

/** The root element `name` of a document. @throws CloudError `garbage` for anything else */
export function parseXml(text: string, name: string): XmlNode {
  const root = readDocument(text)
  if (root.name !== name) throw garbage(`<${root.name}> where <${name}> was expected`, text)
  return root
}

/** The root element if the text is XML at all, else null; for error bodies. */
export function tryParseXml(text: string, name: string): XmlNode | null {
  try {
    return parseXml(text, name)
  } catch {
    return null
  }
}

function readDocument(text: string): XmlNode {
  const document: OpenNode = { name: '', children: [], text: '' }
  const open: OpenNode[] = [document]
  let current = document
  let position = 0
  for (let start = text.indexOf('<'); start >= 0; start = text.indexOf('<', position)) {
    const end = text.indexOf('>', start)
    if (end < 0) throw garbage('a tag without end', text)
    const first = text.charCodeAt(start + 1)
    if (first === 0x2f) {
      if (current.children.length === 0) current.text = text.slice(position, start)
      if (open.length === 1 || localName(text, start + 2, end) !== current.name) throw garbage('tags that do not match', text)
      open.pop()
      current = open[open.length - 1] ?? document
    } else if (first === 0x21) throw garbage('more than elements and text', text)
    else if (first !== 0x3f) {
      const empty = text.charCodeAt(end - 1) === 0x2f
      const node: OpenNode = { name: localName(text, start + 1, empty ? end - 1 : end), children: [], text: '' }
      current.children.push(node)
      if (!empty) {
        if (open.push(node) > deepest) throw garbage('too many levels', text)
        current = node
      }
    }
    position = end + 1
  }
  const [root, second] = document.children
  if (current !== document || !root || second || text.slice(position).trim() !== '') throw garbage('no whole document', text)
  return root
}

/** The name in `<prefix:name attributes>`. */
function localName(text: string, start: number, end: number): string {
  let from = start
  let to = start
  for (; to < end; to++) {
    const sign = text.charCodeAt(to)
    if (sign === 0x3a) from = to + 1
    if (sign <= 0x20) break
  }
  return text.slice(from, to)
}

export function childOf(node: XmlNode, name: string): XmlNode | undefined {
  return node.children.find((child) => child.name === name)
}

export function childrenOf(node: XmlNode, name: string): readonly XmlNode[] {
  return node.children.filter((child) => child.name === name)
}

/** Text of a child; undefined when absent. */
export function textOf(node: XmlNode, name: string): string | undefined {
  const child = childOf(node, name)
  return child && decodeEntities(child.text)
}

/** @throws CloudError `garbage` when absent */
export function requiredText(node: XmlNode, name: string): string {
  const value = textOf(node, name)
  if (value === undefined) throw new CloudError('garbage', `<${node.name}> has no <${name}>`)
  return value
}

/** @throws CloudError `garbage` for anything but a count */
export function requiredCount(node: XmlNode, name: string): number {
  const text = requiredText(node, name)
  const count = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(count)) throw new CloudError('garbage', `<${name}> is not a count`)
  return count
}

/** What stands between the tags is ours and needs no more than this. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

const named: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

export function decodeEntities(text: string): string {
  if (!text.includes('&')) return text
  return text.replace(/&(?:#(\d{1,7})|#x([0-9A-Fa-f]{1,6})|([a-z]{2,4}));/g, (whole, decimal, hex, name) => {
    if (typeof name === 'string') return named[name] ?? whole
    const code = typeof decimal === 'string' ? parseInt(decimal, 10) : parseInt(String(hex), 16)
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole
  })
}

function garbage(what: string, text: string): CloudError {
  return new CloudError('garbage', `the answer is not as it should be (${what}): ${JSON.stringify(text.slice(0, 80))}`)
}
