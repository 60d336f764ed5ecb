import { CheckResult } from '../proto/gen/cloudmoor/v1/provider_pb.js'
import type { CapabilityCheck } from '../proto/gen/cloudmoor/v1/provider_pb.js'
import { safe, table } from './output.ts'
import { word } from './words.ts'

/** What a server was measured to do, as the command line tells it. */
export interface CheckView {
  readonly name: string
  /** `yes`, `no` or `unknown`. */
  readonly result: string
  readonly detail: string
}

export function checkView({ name, result, detail }: CapabilityCheck): CheckView {
  return { name, result: word(CheckResult, result), detail }
}

/** An empty line and the table; nothing where nothing was measured. */
export function checkTable(rows: readonly CheckView[]): string[] {
  if (rows.length === 0) return []
  const columns = [
    { title: 'CAPABILITY', value: (row: CheckView) => row.name },
    { title: 'RESULT', value: (row: CheckView) => row.result },
    { title: 'DETAIL', value: (row: CheckView) => safe(row.detail) },
  ]
  return ['', table(columns, rows)]
}
