/** Puts tables and chart into docs/performance.md, between its marks. */
import { readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { chart } from './chart.ts'
import { loadResults } from './results.ts'
import { fullSizes, quickSizes, scenarios } from './steps.ts'
import { costTable, countsTable, markdown, tableOf } from './table.ts'

const docs = resolve(import.meta.dirname, '../docs')

/** @param files the first that is there is shown */
export async function writePage(files: readonly string[]): Promise<void> {
  let results = null
  for (const file of files) results ??= await loadResults(file)
  if (results === null) throw new Error(`there are no results: run bench/run --full`)
  const shown = scenarios(results.mode === 'full' ? fullSizes : quickSizes, '')
  await writeFile(join(docs, 'performance.svg'), chart(results, shown))
  const page = join(docs, 'performance.md')
  let text = await readFile(page, 'utf8')
  const parts = {
    machine: `${results.machine}; a ${results.mode} run.\n\n![CloudMoor against the best peer](performance.svg)`,
    near: markdown(tableOf(results, shown, 'near')),
    far: markdown(tableOf(results, shown, 'far')),
    costs: markdown(costTable(results, shown, 'near')),
    counts: markdown(countsTable(results, shown, 'near')),
  }
  for (const [name, content] of Object.entries(parts)) {
    text = text.replace(
      new RegExp(`(<!-- ${name} -->\n)[^]*?(<!-- end -->)`),
      (_all, begin: string, end: string) => `${begin}${content}\n${end}`,
    )
  }
  await writeFile(page, text)
}
