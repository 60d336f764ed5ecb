import type { ServiceImpl } from '@connectrpc/connect'
import { LiveKind } from '../../../proto/gen/cloudmoor/v1/event_pb.js'
import type { EventService } from '../../../proto/gen/cloudmoor/v1/event_pb.js'
import { CloudError } from '../../common/errors.ts'
import { admitRole } from './admit-call.ts'
import { principalKey, sightOf } from './call.ts'
import { WatchStream } from './events/watch-stream.ts'
import type { WatchParts } from './events/watch-stream.ts'

/** EventService in terms of the bus and what is looked at live. */
export function eventHandler(parts: WatchParts): ServiceImpl<typeof EventService> {
  return {
    watch: (request, context) => {
      const logs = request.live.includes(LiveKind.LOG)
      const principal = context.values.get(principalKey)
      if (principal === null) throw new CloudError('internal', 'a call without a principal')
      const audit = request.live.includes(LiveKind.AUDIT)
      if (logs || audit) admitRole(principal, 'operator')
      const progress = request.live.includes(LiveKind.PROGRESS)
      const wish = { cursor: request.cursor, progress, logs, audit, mountId: request.mountId }
      return new WatchStream(parts, wish, sightOf(context)).run(context.signal)
    },
  }
}
