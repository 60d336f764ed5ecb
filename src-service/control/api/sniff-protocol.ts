import type { Socket } from 'node:net'

/** How every HTTP/2 connection begins; no HTTP/1.1 method does. */
const preface = Buffer.from('PRI')

/** Waits for the first bytes of a connection, puts them back and says what it speaks. Cuts one that says nothing in time. */
export function sniffProtocol(socket: Socket, timeoutMs: number, onProtocol: (protocol: 'http1' | 'http2') => void): void {
  let seen = Buffer.alloc(0)
  const timer = setTimeout(() => socket.destroy(), timeoutMs)

  function look(): void {
    for (let chunk: unknown = socket.read(); Buffer.isBuffer(chunk); chunk = socket.read()) seen = Buffer.concat([seen, chunk])
    if (seen.length === 0) return
    const same = seen.subarray(0, preface.length).equals(preface.subarray(0, seen.length))
    if (same && seen.length < preface.length) return
    done()
    socket.unshift(seen)
    onProtocol(same ? 'http2' : 'http1')
  }

  function done(): void {
    clearTimeout(timer)
    socket.off('readable', look)
    socket.off('close', done)
    socket.off('end', cut)
  }

  /** Ended before it said anything. */
  function cut(): void {
    socket.destroy()
  }

  socket.on('readable', look)
  socket.once('end', cut)
  socket.once('close', done)
}
