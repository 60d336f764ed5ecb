/** What schemathesis is told, and what is known to be out of its reach; everything else it has to reach. */
import type { Known } from './seed.ts'

/** Operations that are not asked. */
export const leftOut: Readonly<Record<string, string>> = {
  AuditService_TailAudit: 'a stream: it goes on for as long as its client listens',
  EventService_Watch: 'a stream, as above',
  LogService_TailLogs: 'a stream, as above',
  SystemService_Shutdown: 'ends the service that is asked',
  SystemService_Restart: 'ends the service that is asked',
  BackupService_RestoreBackup: 'ends the service that is asked, and the token with it',
}

/** Operations that are asked, and never do what they are asked for. */
export const outOfReach: Readonly<Record<string, string>> = {
  SessionService_ChangePassword: 'for users, and the caller is a token',
  SessionService_CreateLoginCode: 'answers on the unix socket alone',
  SessionService_AcceptInvite: 'takes a code that is good once; the wrong ones that are tried first delay every login from their address',
  SessionService_LoginWithCode: 'takes a code that is good once and for a minute',
}

/** Operations that may refuse what the schema allows: what is right depends on another field, on what is configured, or on the disk. */
export const refuseMore: Readonly<Record<string, string>> = {
  BackupService_CreateBackup: 'a name in a path has as many bytes as its file system takes',
  BackupService_VerifyBackup: 'a file that is there need not be a backup',
  ConfigService_ImportConfig: 'its text is YAML with a schema of its own, docs/config.schema.json',
  MountService_CreateMount: 'each option has a type of its own, and a path is absolute as the system of the service has it',
  MountService_UpdateMount: 'as above, and the account and its folder never change',
  OrphanService_ExportOrphan: 'a name in a path has as many bytes as its file system takes',
  ProviderService_CreateProvider: 'which options there are depends on the type; ListProviderTypes has their schemas',
  ProviderService_UpdateProvider: 'as above, and the type never changes',
  SettingsService_UpdateSetting: 'what a value may be depends on the setting; ListSettings has their schemas',
  TokenService_CreateToken: 'which fields a grant has depends on its scope and role, and its end lies in the future',
  UserService_CreateUser: 'which fields a grant has depends on its scope and role',
  UserService_UpdateUser: 'which fields a grant has depends on its scope and role',
  VaultService_AddSlot: 'a passphrase belongs to one kind of slot, and a recovery key is made by another call',
  VaultService_UnlockVault: 'a recovery key has a check sum, and a slip in it is told apart from a wrong key',
  readContent: 'a name in a path has at most 255 bytes, and a schema counts characters',
  lookAtContent: 'as above',
  writeContent: 'as above',
}

/** Statuses that say how things are, not that the request is wrong: besides 401, 403, 404, 409, 429 and 5xx. */
export const asThingsAre: Readonly<Record<string, string>> = {
  412: 'the file, or the object, has another version than If-Match says (RFC 9110 §13.1.1); no schema knows which one it has',
  416: 'the file ends before the Range begins (RFC 9110 §14.2); no schema knows how long it is',
}

export interface Plan {
  readonly seed: number
  readonly seconds: number
  /** `http://127.0.0.1:7434`. */
  readonly url: string
  readonly token: string
  readonly known: Known
  /** Where reports and whatever schemathesis keeps go. */
  readonly folder: string
}

const refusals = ['400', '401', '403', '413', '415']

/** How often a value that is known is taken in the place of an invented one. */
const probability = 0.7

/** The configuration file, TOML. It holds the token, so that it stands in no argument. */
export function writeConfiguration({ seed, seconds, url, token, known, folder }: Plan): string {
  const dictionaries: string[] = []
  const operations: string[] = []
  for (const [operation, places] of Object.entries(known)) {
    const bindings = Object.entries(places).map(([place, values]) => {
      const name = `${operation}_${place.replaceAll('.', '_')}`
      dictionaries.push(`${name} = ${inline({ values })}`)
      return `${JSON.stringify(place)} = ${inline({ dictionary: name, probability })}`
    })
    operations.push(operationEntry(operation, `parameters = { ${bindings.join(', ')} }`))
  }
  for (const operation of Object.keys(leftOut)) operations.push(operationEntry(operation, 'enabled = false'))
  // Whatever comes after it would find the vault locked.
  operations.push(operationEntry('VaultService_LockVault', 'phases = { coverage = { enabled = false }, fuzzing = { enabled = false } }'))
  // They would end the token of the run, if they were given ids out of the list of tokens.
  const invented = '{ extra-data-sources = { responses = false } }'
  for (const operation of ['TokenService_RevokeToken', 'TokenService_RotateToken'])
    operations.push(operationEntry(operation, `phases = { coverage = ${invented}, fuzzing = ${invented}, stateful = { enabled = false } }`))
  for (const operation of Object.keys(refuseMore))
    operations.push(operationEntry(operation, 'checks = { positive_data_acceptance = { enabled = false } }'))
  return `
seed = ${seed}
max-time = ${seconds}
base-url = ${JSON.stringify(url)}
headers = ${inline({ Authorization: `Bearer ${token}` })}
continue-on-failure = true
color = false
request-timeout = 30
generation = { database = "none", max-examples = 50 }
reports = { json = ${inline({ path: `${folder}/report.json` })}, ndjson = ${inline({ path: `${folder}/report.ndjson` })} }
cache = { enabled = false }

[checks]
positive_data_acceptance = ${inline({ 'expected-statuses': ['2xx', '3xx', '401', '403', '404', '409', '429', '5xx', ...Object.keys(asThingsAre)] })}
negative_data_rejection = ${inline({ 'expected-statuses': [...refusals, '404', '405', '409', '429', ...Object.keys(asThingsAre)] })}
missing_required_header = ${inline({ 'expected-statuses': [...refusals, '406', '422'] })}

[dictionaries]
${dictionaries.join('\n')}

${operations.join('\n')}`
}

function operationEntry(operation: string, line: string): string {
  return `[[operations]]\ninclude-operation-id = ${JSON.stringify(operation)}\n${line}\n`
}

/** A value as TOML has it: its texts and lists are JSON's. */
function inline(value: Readonly<Record<string, unknown>>): string {
  return `{ ${Object.entries(value)
    .map(([key, inner]) => `${key} = ${JSON.stringify(inner)}`)
    .join(', ')} }`
}
