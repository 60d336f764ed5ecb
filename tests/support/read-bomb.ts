import { parentPort, workerData } from 'node:worker_threads'
import { parseDocument as parseYaml } from 'yaml'
import { parseDocument } from '../../src-service/control/config/document.ts'
import { CloudError } from '../../src-service/common/errors.ts'
import { descriptors } from '../../src-service/drive/connectors/manifest.ts'

/** Reads a text as a configuration (or, to compare, as the bare parser does) and tells how that went and what it took of the processor. */

const { text, bare } = workerData as { readonly text: string; readonly bare: boolean }
// Compiles what is only compiled once.
parseDocument('version: 1\n', descriptors)
const before = process.threadCpuUsage()
let said = 'taken'
try {
  if (bare) parseYaml(text, { logLevel: 'silent' })
  else parseDocument(text, descriptors)
} catch (caught) {
  said = caught instanceof CloudError ? caught.kind : `not a CloudError: ${String(caught)}`
}
const { user, system } = process.threadCpuUsage(before)
parentPort?.postMessage({ said, milliseconds: (user + system) / 1000 })
