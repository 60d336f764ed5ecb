import { create, toJson } from '@bufbuild/protobuf'
import type { JsonObject, JsonValue } from '@bufbuild/protobuf'
import type { ConnectError } from '@connectrpc/connect'
import { ErrorInfoSchema } from '../../../../proto/gen/google/rpc/error_details_pb.js'

/** An error as google.rpc.Status in JSON. */
export function statusJson(error: ConnectError): JsonObject {
  const details = error.details.flatMap((detail): JsonValue[] => {
    if (!('desc' in detail)) return []
    const value = toJson(detail.desc, create(detail.desc, detail.value)) as JsonObject
    return [{ '@type': `type.googleapis.com/${detail.desc.typeName}`, ...value }]
  })
  return { code: error.code, message: error.rawMessage, details }
}

/** '' = it has none. */
export function reasonOf(error: ConnectError): string {
  return error.findDetails(ErrorInfoSchema)[0]?.reason ?? ''
}
