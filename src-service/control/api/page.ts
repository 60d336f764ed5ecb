import { readLimit } from './wire-values.ts'

interface PageRequest {
  readonly pageSize: number
  readonly pageToken: string
  /** Only the one with this name; '' = all. */
  readonly name: string
}

interface Page<Item> {
  readonly entries: readonly Item[]
  /** '' at the last page. */
  readonly nextPageToken: string
}

/** One page of what is sorted by name. The token is the last name of the page before: entries may come and go meanwhile. */
export function pageOf<Item>(items: readonly Item[], nameOf: (item: Item) => string, request: PageRequest): Page<Item> {
  const size = readLimit('page_size', request.pageSize, 100, 1000)
  const after = request.pageToken === '' ? null : Buffer.from(request.pageToken, 'base64url').toString('utf8')
  const wanted = items.filter((item) => (request.name === '' || nameOf(item) === request.name) && (after === null || nameOf(item) > after))
  const entries = wanted.slice(0, size)
  const last = entries.at(-1)
  const nextPageToken =
    last === undefined || wanted.length === entries.length ? '' : Buffer.from(nameOf(last), 'utf8').toString('base64url')
  return { entries, nextPageToken }
}
