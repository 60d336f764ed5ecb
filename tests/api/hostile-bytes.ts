/** Conversations that clients have with the service, as the frames that they send, and what becomes of them in bad hands. */

type Frames = readonly Buffer[]

const text = (value: string): Buffer => Buffer.from(value, 'latin1')

function http1(method: string, path: string, body: string, type = 'application/json'): Frames {
  const head = `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`
  return [text(head), text(body)]
}

/** Length, type, flags, stream, payload: RFC 9113, 4.1. */
function http2(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** Literal fields without indexing, RFC 7541, 6.2.2. */
function fields(entries: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat(
    Object.entries(entries).map(([name, value]) =>
      Buffer.concat([Buffer.from([0, name.length]), text(name), Buffer.from([value.length]), text(value)]),
    ),
  )
}

const call = (path: string, type: string): Buffer =>
  fields({ ':method': 'POST', ':scheme': 'http', ':path': path, ':authority': 'localhost', 'content-type': type, te: 'trailers' })

/** One message of gRPC and of Connect's streams. */
function envelope(flags: number, message: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt8(flags, 0)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

const preface = text('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const settings = http2(4, 0, 0, Buffer.alloc(0))
const list = '/cloudmoor.v1.ProviderService/ListProviders'
const watch = '/cloudmoor.v1.EventService/Watch'
const reflect = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo'

/** Pinned: what is found with it can be found again. */
export const corpus: readonly Frames[] = [
  http1('GET', '/api/v1/providers?pageSize=5&name=x', ''),
  http1('POST', '/api/v1/providers', '{"provider": {"name": "x", "type": "local", "options": {"path": "/srv", "n": 1e3}}}'),
  http1('PATCH', '/api/v1/mounts/x', '{"name": "\\u0041", "labels": ["a"]}'),
  http1('GET', '/api/v1/mounts/x/content/a%20b', ''),
  http1('PUT', '/api/v1/mounts/x/content/a', 'contents', 'application/octet-stream'),
  http1('POST', list, '{"pageSize": 5}'),
  http1('POST', watch, envelope(0, text('{}')).toString('latin1'), 'application/connect+json'),
  http1('POST', list, envelope(0, Buffer.from([0x08, 0x05])).toString('latin1'), 'application/grpc-web+proto'),
  http1('POST', list, Buffer.from([0x08, 0x05, 0x12, 0x01, 0x78]).toString('latin1'), 'application/proto'),
  [
    text('POST /api/v1/providers HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n'),
    text('2\r\n{}\r\n'),
    text('0\r\n\r\n'),
  ],
  ...[list, watch, reflect].map((path) => [
    preface,
    settings,
    http2(1, 4, 1, call(path, 'application/grpc+proto')),
    http2(0, 1, 1, envelope(0, Buffer.from([0x08, 0x05]))),
    http2(8, 0, 0, Buffer.from([0, 1, 0, 0])),
    http2(6, 0, 0, Buffer.alloc(8)),
    http2(3, 0, 1, Buffer.from([0, 0, 0, 8])),
  ]),
  [preface, settings, http2(1, 0, 1, call(list, 'application/json')), http2(9, 4, 1, fields({ x: 'y' })), http2(0, 1, 1, text('{}'))],
]

/** Does one bad thing to a frame. @param random 0 ≤ x < 1 */
export function spoil(frame: Buffer, random: () => number): Buffer {
  const at = (size: number) => Math.floor(random() * size)
  const copy = Buffer.from(frame)
  switch (at(7)) {
    case 0: {
      for (let bits = 1 + at(4); bits > 0 && copy.length > 0; bits--) {
        const place = at(copy.length)
        copy[place] = (copy[place] ?? 0) ^ (1 << at(8))
      }
      return copy
    }
    case 1:
      return copy.subarray(0, at(copy.length + 1))
    case 2:
      return Buffer.concat([copy, copy.subarray(at(copy.length + 1))])
    case 3: {
      const place = at(copy.length + 1)
      return Buffer.concat([copy.subarray(0, place), Buffer.alloc(1 + at(64), at(256)), copy.subarray(place)])
    }
    case 4: {
      // Where numbers of 4 bytes may stand.
      if (copy.length >= 4) copy.writeUInt32BE([0, 1, 0x7fffffff, 0xffffffff][at(4)] ?? 0, at(copy.length - 3))
      return copy
    }
    case 5:
      return Buffer.from(Array.from({ length: at(200) }, () => at(256)))
    default:
      return copy
  }
}
