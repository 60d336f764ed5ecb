import { CheckResult } from '../../../proto/gen/cloudmoor/v1/provider_pb.js'
import type { CapabilityCheck } from '../providers/account.ts'

const results: Readonly<Record<CapabilityCheck['result'], CheckResult>> = {
  yes: CheckResult.YES,
  no: CheckResult.NO,
  unknown: CheckResult.UNSPECIFIED,
}

/** One measured capability as the contract has it. */
export function checkOnWire({ name, result, detail }: CapabilityCheck): { name: string; result: CheckResult; detail: string } {
  return { name, result: results[result], detail }
}
