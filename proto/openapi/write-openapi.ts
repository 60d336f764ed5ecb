/** Writes gen/openapi.json, or the file that is named: `node write-openapi.ts [FILE]`. */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { apiLevel } from '../client/api-level.ts'
import { loadContract } from '../policy-faults.ts'
import { readComments } from './comments.ts'
import { makeOpenApi } from './make-openapi.ts'

const proto = fileURLToPath(new URL('..', import.meta.url))
const buf = fileURLToPath(new URL('../../node_modules/.bin/buf', import.meta.url))
const image = execFileSync(buf, ['build', proto, '--as-file-descriptor-set', '-o', '-#format=binpb'], { maxBuffer: 64 * 1024 * 1024 })
const document = makeOpenApi(await loadContract(), readComments(image), `${apiLevel}.0.0`)
writeFileSync(process.argv[2] ?? fileURLToPath(new URL('../gen/openapi.json', import.meta.url)), `${JSON.stringify(document, null, 2)}\n`)
