/** Conditions where the server keeps them, and by looking first where it does not. */
import type { CapabilityCheck } from '../../../common/drive-state.ts'
import { isUtf8 } from 'node:buffer'
import { CloudError, isUnknown } from '../../../common/errors.ts'
import type { Precondition, RemotePlace } from '../connector.ts'
import type { DavClient } from './dav-client.ts'
import { isName, pathOf } from './dav-place.ts'
import { find, isCoarse, listFolder, revOf, rootPlace } from './find.ts'
import type { DavFact } from './multistatus.ts'
import { newTempName } from './temp-name.ts'

type Findings = Readonly<Record<'creation' | 'replacement' | 'removal' | 'dots', boolean>>

/** Milliseconds for all its requests. */
const probeMs = 60_000

/** What the server itself keeps, tried on a file of ours at the first change. */
export class Conditions {
  readonly #client: DavClient
  #findings: Promise<Findings> | null = null
  #known: Findings | null = null

  constructor(client: DavClient) {
    this.#client = client
  }

  /** The server compares by itself; before the first change nothing is known. */
  get areKept(): boolean {
    return this.#known !== null && this.#known.creation && this.#known.replacement && this.#known.removal
  }

  /** False: names that begin with a dot are not in the server's listings. */
  get listsDots(): boolean {
    return this.#known?.dots ?? true
  }

  /** @returns headers that make a request on `place` conditional; looks first where the server would not. @throws CloudError `conflict` */
  async headersFor(place: RemotePlace, precondition: Precondition, signal: AbortSignal): Promise<Record<string, string>> {
    if (precondition.kind === 'any') return {}
    await this.probe(signal)
    if (!this.areKept || (precondition.kind === 'rev' && isCoarse(precondition.rev))) {
      checkFound(await find(this.#client, place, signal), precondition)
    }
    if (precondition.kind === 'absent') return { 'if-none-match': '*' }
    return this.ifHeader([[place, precondition.rev]])
  }

  /** @throws CloudError `name-invalid` for a new name that the server would not list, or that is no UTF-8 */
  async checkNewName({ path }: RemotePlace, signal: AbortSignal): Promise<void> {
    const name = path.at(-1)
    if (!name) return
    if (!isUtf8(name)) throw new CloudError('name-invalid', 'WebDAV names are UTF-8')
    if (name[0] !== 0x2e || !isName(name) || (await this.probe(signal)).dots) return
    throw new CloudError('name-invalid', 'the server does not list names that begin with a dot')
  }

  /**
   * The `If` header of RFC 4918: one condition for each place. Other than `If-Match` it also holds for tags that a server
   * calls weak, and for the target of a move.
   */
  ifHeader(conditions: readonly (readonly [RemotePlace, string])[]): Record<string, string> {
    const { origin, base } = this.#client.settings
    const lists = conditions
      .filter(([, rev]) => !isCoarse(rev))
      .map(([place, rev]) => `<${origin}${pathOf(base, place, 'file')}> ([${rev}]) ([W/${rev}])`)
    return lists.length === 0 ? {} : { if: lists.join(' ') }
  }

  /** Once for each connector: a few requests on a folder in the root that is removed again. */
  async probe(signal: AbortSignal): Promise<Findings> {
    if (this.#known) return this.#known
    if (signal.aborted) throw CloudError.from(signal.reason)
    // Many wait for it: it does not end because the first of them does.
    this.#findings ??= this.#measure(AbortSignal.timeout(probeMs))
      .then((findings) => {
        this.#known = findings
        return findings
      })
      .finally(() => {
        this.#findings = null
      })
    return await this.#findings
  }

  async checks(signal: AbortSignal): Promise<CapabilityCheck[]> {
    const findings = await this.probe(signal)
    const ignored = 'the server ignores the condition: CloudMoor looks just before'
    return [
      check('conditional creation', findings.creation, ignored),
      check('conditional replacement', findings.replacement, ignored),
      check('conditional removal', findings.removal, ignored),
      check('names with a leading dot', findings.dots, 'the server does not list them: they are refused'),
    ]
  }

  async #measure(signal: AbortSignal): Promise<Findings> {
    const folder = below(rootPlace, newTempName())
    const file = below(folder, Buffer.from('.file'))
    const { base } = this.#client.settings
    const path = pathOf(base, file, 'file')
    const put = (headers: Readonly<Record<string, string>>) =>
      this.#client.head({ method: 'PUT', path, headers: { ...headers, 'content-length': '1' }, body: Buffer.from('1') }, signal)
    const stranger = this.ifHeader([[file, '"another version"']])
    try {
      await this.#client.head({ method: 'MKCOL', path: pathOf(base, folder, 'folder') }, signal)
      await put({ 'if-none-match': '*' })
      const hasTag = (await find(this.#client, file, signal))?.etag != null
      return {
        dots: await lists(this.#client, folder, signal),
        creation: await refused(() => put({ 'if-none-match': '*' })),
        replacement: hasTag && (await refused(() => put(stranger))),
        removal: hasTag && (await refused(() => this.#client.head({ method: 'DELETE', path, headers: stranger }, signal))),
      }
    } catch (caught) {
      const error = CloudError.from(caught)
      if (isUnknown(error.kind)) throw error
      // No right to write here, and perhaps below: nothing is known of the server, so nothing is believed.
      return { dots: true, creation: false, replacement: false, removal: false }
    } finally {
      await this.#client.head({ method: 'DELETE', path: pathOf(base, folder, 'folder') }, signal).catch(() => undefined)
    }
  }
}

function below({ path }: RemotePlace, name: Buffer): RemotePlace {
  return { path: [...path, name], id: null, parentId: null }
}

/** Names with a leading dot: some servers keep them to themselves. */
async function lists(client: DavClient, folder: RemotePlace, signal: AbortSignal): Promise<boolean> {
  let entries = 0
  for await (const page of listFolder(client, folder, signal)) entries += page.entries.length
  return entries > 0
}

export function check(name: string, found: boolean, otherwise: string): CapabilityCheck {
  return { name, result: found ? 'yes' : 'no', detail: found ? '' : otherwise }
}

/** @throws CloudError `conflict` where a precondition does not hold for what is there */
export function checkFound(found: DavFact | null, precondition: Precondition): void {
  if (precondition.kind === 'any') return
  const holds = precondition.kind === 'absent' ? found === null : found !== null && !found.collection && revOf(found) === precondition.rev
  if (!holds) throw new CloudError('conflict', 'the object was changed meanwhile')
}

async function refused(run: () => Promise<unknown>): Promise<boolean> {
  try {
    await run()
    return false
  } catch (caught) {
    const error = CloudError.from(caught)
    if (isUnknown(error.kind)) throw error
    return error.kind === 'conflict'
  }
}
