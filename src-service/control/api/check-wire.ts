import type { CapabilityCheck } from '../../common/drive-state.ts'
import { CheckResult } from '../../../proto/gen/cloudmoor/v1/provider_pb.js'

const results: Readonly<Record<CapabilityCheck['result'], CheckResult>> = {
  yes: CheckResult.YES,
  no: CheckResult.NO,
  unknown: CheckResult.UNSPECIFIED,
}

/** One measured capability as the contract has it. */
export function checkOnWire({ name, result, detail }: CapabilityCheck): { name: string; result: CheckResult; detail: string } {
  return { name, result: results[result], detail }
}
