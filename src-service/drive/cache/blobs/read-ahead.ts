/** One reader going through a file: what it reads next, and how far ahead is worth fetching. Bytes. */
export interface Cursor {
  next: number
  window: number
  /** Up to here the window has been asked for. */
  asked: number
}

const cursorsPerFile = 4
/** Reads of one program may arrive this much out of order (the kernel's own read-ahead asks in parallel). */
const slack = 1024 * 1024
export const firstWindow = 1024 * 1024
export const largestWindow = 64 * 1024 * 1024

/**
 * The cursor that this read continues, moved on; a new one if it continues none. Allocates only for a new one.
 * A new cursor at the begin of the file counts as sequential from the start, elsewhere only its second read does.
 */
export function followRead(cursors: Cursor[], position: number, length: number): Cursor {
  const end = position + length
  for (const cursor of cursors) {
    if (position > cursor.next + slack || end + slack < cursor.next) continue
    if (end <= cursor.next) return cursor
    cursor.next = end
    if (cursor.window === 0) {
      cursor.window = firstWindow
      cursor.asked = end
    }
    return cursor
  }
  const cursor = { next: end, window: position === 0 ? firstWindow : 0, asked: end }
  if (cursors.length >= cursorsPerFile) cursors.shift()
  cursors.push(cursor)
  return cursor
}

/** True when half of what was asked for has been read. */
export function wantsMore(cursor: Cursor, size: number): boolean {
  return cursor.window > 0 && cursor.asked < size && cursor.next + cursor.window / 2 >= cursor.asked
}
