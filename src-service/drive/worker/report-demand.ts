import type { RateShare } from '../drive-contract.ts'

type Report =
  | { readonly event: 'demand'; readonly reader: number; readonly other: number }
  | { readonly event: 'throttled'; readonly milliseconds: number }

const everyMs = 250
/** Demands that differ by less are the same. */
const noticeable = 0.2

/** Tells what a drive asks of its account, when it changes, and at once when the provider asks for a pause. Returns what ends it. */
export function reportDemand(rate: RateShare, tell: (report: Report) => boolean): () => void {
  let told = { reader: 0, other: 0 }
  rate.onThrottle((milliseconds) => tell({ event: 'throttled', milliseconds: Math.ceil(milliseconds) }))
  const timer = setInterval(() => {
    const demand = rate.demand(everyMs / 1000)
    if (!differs(demand.reader, told.reader) && !differs(demand.other, told.other)) return
    if (tell({ event: 'demand', ...demand })) told = demand
  }, everyMs)
  timer.unref()
  return () => {
    clearInterval(timer)
    rate.onThrottle(() => undefined)
  }
}

function differs(now: number, before: number): boolean {
  return Math.abs(now - before) > noticeable * Math.max(now, before)
}
