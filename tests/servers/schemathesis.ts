/** schemathesis, which makes requests out of an OpenAPI description and looks whether the answers are what it says. */
import { findPythonTool } from './tool.ts'
import type { Found } from './tool.ts'

export function findSchemathesis(): Promise<Found> {
  return findPythonTool({ name: 'schemathesis', folder: 'schemathesis-4.32.5', packages: ['schemathesis==4.32.5'] })
}
