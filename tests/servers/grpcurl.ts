import { findGoTool } from './tool.ts'
import type { Found } from './tool.ts'

/** The gRPC client that most people use by hand. */
export function findGrpcurl(): Promise<Found> {
  return findGoTool({ name: 'grpcurl', folder: 'grpcurl-1.9.4', module: 'github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4' })
}
