// Part of ./generate: fails when a method of the contract lacks its policy.
import { findPolicyFaults, loadContract } from './policy-faults.ts'

const faults = findPolicyFaults(await loadContract())
for (const fault of faults) console.error(fault)
process.exitCode = faults.length === 0 ? 0 : 1
