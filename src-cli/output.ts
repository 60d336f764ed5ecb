import { stripVTControlCharacters, styleText } from 'node:util'

export interface Column<Row> {
  readonly title: string
  readonly value: (row: Row) => string
  readonly align?: 'left' | 'right'
}

/** Where a command writes. Tests collect; main.ts gives the process's streams. */
export interface Output {
  /** Results are JSON documents, one line each. */
  readonly json: boolean
  /** stdout is a terminal: colours, redrawing. */
  readonly interactive: boolean
  /** A result; a newline is added. */
  print(text: string): void
  /** What is not a result: progress, hints, errors. Goes to stderr. */
  note(text: string): void
}

/**
 * Names come from clouds: control characters (terminal escapes among them) are shown, not obeyed, and bidirectional
 * controls cannot reorder the line.
 */
export function safe(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (character) => {
    const code = character.charCodeAt(0)
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`
  })
}

/** Rows under aligned titles, two spaces between columns, no trailing spaces. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = [columns.map((column) => column.title), ...rows.map((row) => columns.map((column) => column.value(row)))]
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => width(line[index] ?? ''))))
  return cells
    .map((line) =>
      line
        .map((cell, index) => {
          const padding = ' '.repeat((widths[index] ?? 0) - width(cell))
          return columns[index]?.align === 'right' ? padding + cell : cell + padding
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Label and value lines: `Label:  value`. Undefined values are left out. */
export function facts(entries: readonly (readonly [label: string, value: string | undefined])[]): string {
  const shown = entries.filter(([, value]) => value !== undefined)
  const labels = Math.max(...shown.map(([label]) => label.length))
  return shown.map(([label, value]) => `${`${label}:`.padEnd(labels + 2)}${value ?? ''}`).join('\n')
}

/** Prints one JSON document, or the text, as asked. */
export function show(output: Output, value: unknown, text: () => string): void {
  output.print(output.json ? JSON.stringify(value) : text())
}

export function colour(output: Output, style: 'red' | 'green' | 'yellow' | 'bold' | 'dim', text: string): string {
  return output.interactive && !output.json ? styleText(style, text, { validateStream: false }) : text
}

/** Terminal columns, near enough: combining marks take none, wide East Asian characters and emoji two. */
function width(text: string): number {
  let columns = 0
  for (const character of stripVTControlCharacters(text).normalize('NFC')) {
    if (/\p{M}|\u200d/u.test(character)) continue
    columns += /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u.test(
      character,
    )
      ? 2
      : 1
  }
  return columns
}
