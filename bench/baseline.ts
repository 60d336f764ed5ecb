import { find } from './results.ts'
import type { Results } from './results.ts'
import { isRate, isRow, quickSizes, scenarios } from './steps.ts'

/**
 * How much worse CloudMoor may have become, as a factor. What is compared is its distance to the native disk beside it, which
 * carries over between machines and days; rows that the native disk has not are compared with rclone.
 */
const allowed = 1.6
/** Requests of kernel and server are the same on every machine. */
const allowedRequests = 1.15

/** Compares with the stored results and says what got worse. @returns whether all is well; also if nothing could be compared. */
export function checkAgainst(stored: Results | null, now: Results, say: (line: string) => void): boolean {
  if (stored === null) {
    say('no stored results, so nothing was compared: run bench/run --full')
    return true
  }
  let well = true
  for (const row of scenarios(quickSizes, '').flatMap((scenario) => scenario.rows.filter((part) => isRow(part)))) {
    for (const distance of ['near', 'far'] as const) {
      const reference = row.noNative === true || distance === 'far' ? 'rclone' : 'native'
      const [before, after] = [stored, now].map((results) => {
        const ours = find(results, row.id, distance, 'CloudMoor')
        const theirs = find(results, row.id, distance, reference)
        if (ours?.value == null || theirs?.value == null || ours.noisy) return null
        return isRate(row.unit) ? theirs.value / ours.value : ours.value / theirs.value
      })
      if (before != null && after != null && after > allowed * before) {
        say(`worse: ${row.title}, ${distance}: ${(after / before).toFixed(2)} times as far from ${reference} as before`)
        well = false
      }
      const requests = [stored, now].map((results) => requestsOf(find(results, row.id, distance, 'CloudMoor')?.counts?.requests))
      if (requests[0] !== undefined && requests[1] !== undefined && requests[1] > allowedRequests * requests[0] + 10) {
        say(`worse: ${row.title}, ${distance}: ${requests[1]} kernel requests, ${requests[0]} before`)
        well = false
      }
    }
  }
  return well
}

function requestsOf(counts: Readonly<Record<string, number>> | undefined): number | undefined {
  return counts === undefined ? undefined : Object.values(counts).reduce((sum, count) => sum + count, 0)
}
