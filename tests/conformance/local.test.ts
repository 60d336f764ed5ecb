import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConnectorContext } from '../../src-service/drive/connectors/connector.ts'
import { openConnector } from '../../src-service/drive/connectors/registry.ts'
import { connectorConformance } from './connector-conformance.ts'

connectorConformance({
  provider: 'local',
  server: 'ext4',
  lacks: ['server-conditions', 'resumable', 'foreign-keys', 'twins'],
  sheet: { 'extended attributes': 'yes', 'atomic creation': 'yes' },
  open: async () => {
    const path = await mkdtemp(join(tmpdir(), 'cloudmoor-local-'))
    const context: ConnectorContext = { settings: { options: { path }, secret: () => undefined }, remoteRoot: '', log: () => undefined }
    const [connector, other] = [openConnector('local', context), openConnector('local', context)]
    return {
      connector,
      other,
      received: () => 0,
      close: async () => {
        await connector.close()
        await other.close()
        await rm(path, { recursive: true })
      },
    }
  },
})
