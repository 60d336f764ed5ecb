/** Answers of PROPFIND, read as they arrive: a folder of a hundred thousand files is never in memory as a whole. */
import { TextDecoder } from 'node:util'
import { CloudError } from '../../../common/errors.ts'
import { childOf, childrenOf, parseXml, textOf } from '../xml.ts'
import type { XmlNode } from '../xml.ts'
import { namesOf } from './dav-place.ts'

/** One resource as the server tells it. */
export interface DavFact {
  /** Names from the server's root down. */
  readonly names: readonly Buffer[]
  /** 200, or why the server says nothing of it. */
  readonly status: number
  readonly collection: boolean
  /** Bytes; null where the server does not say. */
  readonly size: number | null
  /** Milliseconds since 1970; null where the server does not say. */
  readonly modified: number | null
  /** With quotes, without `W/`; null where the server has none. */
  readonly etag: string | null
  readonly quotaUsed: number | null
  readonly quotaAvailable: number | null
}

/** Characters: more without a whole resource among them is no answer. */
const longestResource = 2 ** 20
const opening = /<(?:[\w.-]+:)?multistatus\b[^<>]*>/
const ending = /^(?:\s*<([\w.-]+:)?responsedescription>[^<]*<\/\1responsedescription>)?\s*<\/(?:[\w.-]+:)?multistatus\s*>\s*$/

/** Resources in pages, in the server's order. @throws CloudError `garbage` for anything but a whole multistatus */
export async function* readMultistatus(body: AsyncIterable<Buffer>): AsyncIterable<DavFact[]> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let text = ''
  let state: 'before' | 'inside' | 'empty' = 'before'
  for await (const chunk of body) {
    text += decoded(decoder, chunk)
    if (state === 'before') {
      const match = opening.exec(text)
      if (match) {
        if (text.slice(0, match.index).includes('<!')) throw notWhole('a document type')
        state = match[0].endsWith('/>') ? 'empty' : 'inside'
        text = text.slice(match.index + match[0].length)
      }
    }
    const end = state === 'inside' ? endOfLastResponse(text) : 0
    if (end > 0) {
      yield factsOf(text.slice(0, end))
      text = text.slice(end)
    }
    if (text.length > longestResource) throw notWhole('no resource in a megabyte')
  }
  if (state === 'before') throw notWhole('no multistatus')
  if (state === 'inside' ? !ending.test(text) : text.trim() !== '') throw notWhole('it breaks off')
}

function decoded(decoder: TextDecoder, chunk: Buffer): string {
  try {
    return decoder.decode(chunk, { stream: true })
  } catch (caught) {
    throw new CloudError('garbage', 'the answer is not UTF-8', { cause: caught })
  }
}

/** Behind the last `</response>`, 0 if there is none. */
function endOfLastResponse(text: string): number {
  const word = 'response>'
  for (let at = text.lastIndexOf(word); at > 0; at = text.lastIndexOf(word, at - 1)) {
    if (/<\/(?:[\w.-]+:)?$/.test(text.slice(Math.max(0, at - 64), at))) return at + word.length
  }
  return 0
}

function factsOf(responses: string): DavFact[] {
  return childrenOf(parseXml(`<page>${responses}</page>`, 'page'), 'response').map(factOf)
}

function factOf(response: XmlNode): DavFact {
  const href = textOf(response, 'href')?.trim()
  if (href === undefined || href === '') throw notWhole('a resource without address')
  const parts = childrenOf(response, 'propstat')
  const found = parts.filter((part) => statusOf(part) < 300)
  const property = (name: string) => {
    for (const part of found) {
      const value = textOf(childOf(part, 'prop') ?? part, name)?.trim()
      if (value !== undefined && value !== '') return value
    }
    return undefined
  }
  return {
    names: namesOf(href),
    // Properties that are missing say nothing against the resource.
    status: parts.length > 0 ? 200 : statusOf(response),
    collection: found.some((part) => collectionIn(childOf(part, 'prop'))),
    size: countOf(property('getcontentlength')),
    modified: timeOf(property('getlastmodified')),
    etag: strongEtag(property('getetag')),
    quotaUsed: countOf(property('quota-used-bytes')),
    quotaAvailable: countOf(property('quota-available-bytes')),
  }
}

/** The number in `HTTP/1.1 200 OK`; 500 where nothing is said. */
function statusOf(node: XmlNode): number {
  return Number(/^\s*HTTP\/[\d.]+ (\d{3})/.exec(textOf(node, 'status') ?? '')?.[1] ?? 500)
}

function collectionIn(properties: XmlNode | undefined): boolean {
  const type = properties && childOf(properties, 'resourcetype')
  return type !== undefined && childOf(type, 'collection') !== undefined
}

/** Nextcloud says -1, -2, -3 for what it does not know. */
function countOf(text: string | undefined): number | null {
  const count = Number(text)
  return text !== undefined && /^\d+$/.test(text) && Number.isSafeInteger(count) ? count : null
}

function timeOf(text: string | undefined): number | null {
  const time = Date.parse(text ?? '')
  return Number.isNaN(time) ? null : time
}

/** Apache calls the tag of a file weak while the file is younger than a second, and strong afterwards: it is the same tag. */
export function strongEtag(text: string | undefined): string | null {
  const tag = text?.replace(/^W\//, '')
  return tag === undefined || tag === '' ? null : tag
}

function notWhole(what: string): CloudError {
  return new CloudError('garbage', `the answer is not a whole WebDAV listing: ${what}`)
}
