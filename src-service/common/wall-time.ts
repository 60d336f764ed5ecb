/** Seconds and nanoseconds since 1970. */
export interface WallTime {
  readonly sec: number
  readonly nsec: number
}

let offset = Date.now() - performance.now()

/** The time of day with microseconds: make and git compare finer than Date.now(). Follows clock changes of more than 20 ms. */
export function wallTime(): WallTime {
  const exact = Date.now()
  let ms = performance.now() + offset
  if (Math.abs(ms - exact) > 20) {
    offset = exact - performance.now()
    ms = exact
  }
  const sec = Math.floor(ms / 1000)
  return { sec, nsec: Math.floor((ms - sec * 1000) * 1e6) }
}
