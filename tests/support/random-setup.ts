import fc from 'fast-check'
import { isProof, seed } from './random.ts'

/** Before every test file: random tests take their seed from one place. */
fc.configureGlobal({ ...fc.readConfigureGlobal(), seed })
if (isProof) process.stdout.write(`random tests: RANDOM_SEED=${seed}\n`)
