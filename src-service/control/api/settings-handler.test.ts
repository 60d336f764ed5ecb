import { afterEach, beforeEach, expect, it } from 'vitest'
import { connectService } from '../../../proto/client/connect.ts'
import type { ServiceConnection } from '../../../proto/client/connect.ts'
import { readError } from '../../../proto/client/read-error.ts'
import { startTestService } from '../../../tests/support/test-service.ts'
import type { TestService } from '../../../tests/support/test-service.ts'

let service: TestService
let client: ServiceConnection

beforeEach(async () => {
  service = await startTestService()
  client = connectService(service.places.socket)
})
afterEach(async () => {
  client.close()
  await service.stop()
})

const refusal = (call: Promise<unknown>) =>
  call.then(
    () => 'nothing',
    (error: unknown) => readError(error).reason,
  )

it('lists every setting with what it may be, and says what counts from the next start on', async () => {
  const { settings } = await client.settings.listSettings({})
  expect(settings.map(({ name }) => name)).toContain('stopTimeoutSeconds')
  const days = settings.find(({ name }) => name === 'auditDays')
  expect(days).toMatchObject({ value: '400', defaultValue: '400', isSet: false, unit: 'days', atOnce: false, restartNeeded: false })
  expect(days?.schema).toMatchObject({ type: 'string', pattern: '^[1-9][0-9]{0,4}$' })
  const { setting } = await client.settings.updateSetting({ name: 'auditDays', value: '30' })
  expect(setting).toMatchObject({ value: '30', isSet: true, restartNeeded: true })
  expect((await client.settings.updateSetting({ name: 'mountRoots', value: '/srv' })).setting).toMatchObject({ restartNeeded: false })
  expect((await client.settings.resetSetting({ name: 'auditDays' })).setting).toMatchObject({
    value: '400',
    isSet: false,
    restartNeeded: false,
  })
})

it('refuses what it may not be, what there is none of, and what was changed meanwhile', async () => {
  expect(await refusal(client.settings.updateSetting({ name: 'auditDays', value: 'many' }))).toBe('INVALID')
  expect(await refusal(client.settings.updateSetting({ name: 'auditDay', value: '3' }))).toBe('NOT_FOUND')
  const { setting } = await client.settings.getSetting({ name: 'groupRole' })
  const etag = setting?.etag ?? ''
  await client.settings.updateSetting({ name: 'groupRole', value: 'none', etag })
  expect(await refusal(client.settings.updateSetting({ name: 'groupRole', value: 'admin', etag }))).toBe('CONFLICT')
  expect(await refusal(client.settings.resetSetting({ name: 'groupRole', etag }))).toBe('CONFLICT')
  expect((await client.settings.getSetting({ name: 'groupRole' })).setting?.value).toBe('none')
})

it('is for the configuration file alone what that file sets', async () => {
  const wish = { dryRun: false, prune: true, passphrase: null, manager: 'file' } as const
  const text = "version: 1\nsettings: { auditDays: '7' }\n"
  await service.configuration.read([{ name: '/etc/a.yaml', text }], wish, AbortSignal.timeout(5000))
  const { setting } = await client.settings.getSetting({ name: 'auditDays' })
  expect(setting).toMatchObject({ managedByFile: true, managedFile: '/etc/a.yaml' })
  const changed = { text: text.replace('7', '8'), dryRun: true }
  expect(await refusal(client.config.importConfig(changed))).toBe('MANAGED_ELSEWHERE')
  expect(await refusal(client.settings.updateSetting({ name: 'auditDays', value: '3' }))).toBe('MANAGED_ELSEWHERE')
})
