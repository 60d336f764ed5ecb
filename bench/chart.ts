/** The results as a picture: CloudMoor against the best peer, row by row. */
import type { Distance } from './contestants/contestant.ts'
import { find } from './results.ts'
import type { Results } from './results.ts'
import { isRate, isRow } from './steps.ts'
import type { Row, Scenario } from './steps.ts'
import { columns } from './table.ts'

const rowHeight = 22
const left = 300
const middle = 520
const width = 860
/** Pixels of a factor of ten. */
const decade = 140
const mostDecades = 1.6

interface Bar {
  readonly title: string
  /** CloudMoor against the best peer; 2 is twice as good. */
  readonly factor: number
  readonly peer: string
}

/** SVG without scripts or outside fonts. A bar to the right: CloudMoor is better, on a logarithmic scale. */
export function chart(results: Results, scenarios: readonly Scenario[]): string {
  const bars = (['near', 'far'] as const).flatMap((distance) => scenarios.flatMap((scenario) => barsOf(results, scenario, distance)))
  const height = (bars.length + 2) * rowHeight
  const text = (x: number, y: number, anchor: string, content: string): string =>
    `<text x="${x}" y="${y}" text-anchor="${anchor}">${content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</text>`
  const drawn = bars.flatMap(({ title, factor, peer }, index) => {
    const y = (index + 1) * rowHeight
    const length = Math.min(mostDecades, Math.abs(Math.log10(factor))) * decade
    const better = factor >= 1
    const label = `${Number((better ? factor : 1 / factor).toPrecision(2))} × ${better ? 'faster than' : 'slower than'} ${peer}`
    return [
      text(left - 10, y + 15, 'end', title),
      `<rect x="${better ? middle - 200 : middle - 200 - length}" y="${y + 4}" width="${Math.max(1, length)}" height="14" fill="${better ? '#2a7' : '#c55'}"/>`,
      text(middle - 200 + (better ? length : 0) + 8, y + 15, 'start', label),
    ]
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="12" fill="#444">`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    `<line x1="${middle - 200}" y1="${rowHeight}" x2="${middle - 200}" y2="${height - rowHeight / 2}" stroke="#999"/>`,
    ...drawn,
    '</svg>',
    '',
  ].join('\n')
}

function barsOf(results: Results, scenario: Scenario, distance: Distance): readonly Bar[] {
  return scenario.rows
    .filter((part): part is Row => isRow(part))
    .flatMap((row) => {
      const ours = find(results, row.id, distance, 'CloudMoor')?.value ?? null
      const peers = columns.slice(2).flatMap((name) => {
        const value = find(results, row.id, distance, name)?.value ?? null
        return value === null ? [] : [{ name, value }]
      })
      const [best] = peers.toSorted((a, b) => (isRate(row.unit) ? b.value - a.value : a.value - b.value))
      if (ours === null || best === undefined) return []
      const factor = isRate(row.unit) ? ours / best.value : best.value / ours
      return [{ title: `${row.title}${distance === 'far' ? ', 25 ms' : ''}`, factor, peer: best.name }]
    })
}
