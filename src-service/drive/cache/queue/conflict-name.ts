import { freeName } from '../listings/twin-name.ts'

/**
 * Name of our side of a conflict: `report (conflict DESK 2026-11-21 153000).txt`, in UTC.
 * @param now milliseconds since 1970.
 */
export function conflictName(name: Buffer, host: string, now: number, maxBytes: number, isTaken: (candidate: Buffer) => boolean): Buffer {
  const time = new Date(now).toISOString()
  const machine = host.replace(/[^A-Za-z0-9-]+/g, '-').slice(0, 32) || 'host'
  return freeName(name, `conflict ${machine} ${time.slice(0, 10)} ${time.slice(11, 19).replaceAll(':', '')}`, maxBytes, isTaken)
}
