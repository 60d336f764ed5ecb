import { MemoryCloud } from '../support/memory-cloud.ts'
import { MemoryConnector } from '../support/memory-connector.ts'
import { connectorConformance } from './connector-conformance.ts'

connectorConformance({
  provider: 'memory',
  server: 'in-process',
  lacks: ['foreign-keys', 'twins'],
  open: async () => {
    const cloud = new MemoryCloud()
    return {
      connector: new MemoryConnector(cloud),
      other: new MemoryConnector(cloud),
      received: () => cloud.received,
      close: async () => undefined,
    }
  },
})
