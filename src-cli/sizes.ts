const units = ['B', 'K', 'M', 'G', 'T', 'P'] as const

/** Reads `10G`, `512 MiB`, `1.5t`, `4096` as bytes (powers of 1,024); undefined if it is no size. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([bkmgtp])?(?:ib|b)?$/i.exec(text.trim())
  if (match === null) return undefined
  const power = units.findIndex((unit) => unit === (match[2] ?? 'B').toUpperCase())
  const bytes = Math.round(Number(match[1]) * 1024 ** power)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** `1536` as `1.5 KiB`. */
export function formatSize(bytes: number): string {
  let value = bytes
  let power = 0
  while (value >= 1024 && power < units.length - 1) {
    value /= 1024
    power++
  }
  const digits = power === 0 || value >= 100 ? 0 : 1
  return `${value.toFixed(digits).replace(/\.0$/, '')} ${units[power] ?? ''}${power === 0 ? '' : 'iB'}`
}

/** `1 file`, `3 files`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

/** Reads `90`, `30s`, `5m`, `2h`, `1d` as seconds; undefined if it is no duration. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+)(s|m|h|d)?$/.exec(text.trim())
  if (match === null) return undefined
  const factor = { s: 1, m: 60, h: 3600, d: 86_400 }[match[2] ?? 's']
  return factor === undefined ? undefined : Number(match[1]) * factor
}

/** Seconds as `3 d`, `2 h 5 min`, `12 s`: the two largest parts. */
export function formatDuration(seconds: number): string {
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [Math.floor(seconds) % 60, 's'],
  ] as const
  const first = parts.findIndex(([count]) => count > 0)
  if (first === -1) return '0 s'
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ')
}
