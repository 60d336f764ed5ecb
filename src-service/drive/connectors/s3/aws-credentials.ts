/** Credentials from AWS's sources and from assumed roles. Their SDK is large: it is loaded when the first request needs it. */
import type { fromEnv } from '@aws-sdk/credential-providers'
import { CloudError } from '../../../common/errors.ts'
import { ambientVariables } from './ambient-sources.ts'
import type { AmbientSource } from './ambient-sources.ts'
import type { LoadedCredentials } from './credentials.ts'
import { refusePrograms } from './profile-programs.ts'
import type { Credentials } from './sign-v4.ts'

type IdentityProvider = () => Promise<Identity>
type Identity = Awaited<ReturnType<ReturnType<typeof fromEnv>>>

/** Where a security token service answers; undefined = AWS's own of the region. */
interface Sts {
  readonly region: string
  readonly endpoint?: string | undefined
}

export interface AssumedRole extends Sts {
  readonly arn: string
  readonly externalId: string | undefined
  readonly sessionName: string
  readonly durationSeconds: number | undefined
}

const sdk = () => import('@aws-sdk/credential-providers')
/** Metadata services are on this machine or do not exist. */
const metadata = { timeout: 2000, maxRetries: 2 }

export interface Surroundings {
  /** Of the shared configuration files; undefined = AWS_PROFILE or `default`. */
  readonly profile: string | undefined
  readonly sts: Sts
  /** Of the service's environment, which this process has none of. */
  readonly variable: (name: string) => string | undefined
}

/** @throws CloudError `sign-in` (RUNS_A_PROGRAM) for a profile that names a program to run */
export async function loadAmbient(source: AmbientSource, surroundings: Surroundings): Promise<LoadedCredentials> {
  takeOn(surroundings.variable)
  if (source === 'profile' || source === 'chain') await refusePrograms(surroundings.profile ?? process.env['AWS_PROFILE'] ?? 'default')
  return await load(await providerOf(source, surroundings), 'No credentials were found there: check the option credentials.')
}

/**
 * The SDK looks nowhere but in this process's environment. What is set here is not seen in /proc, which shows what the process was
 * started with, and is the same for every account: it is the service's.
 */
function takeOn(variable: Surroundings['variable']): void {
  for (const name of ambientVariables) {
    const value = variable(name)
    if (value === undefined) Reflect.deleteProperty(process.env, name)
    else process.env[name] = value
  }
}

/** @param own whose rights the role is assumed with */
export async function loadAssumedRole(role: AssumedRole, own: () => Promise<Credentials>): Promise<LoadedCredentials> {
  const { fromTemporaryCredentials } = await sdk()
  const provider = fromTemporaryCredentials({
    masterCredentials: async () => identityOf(await own()),
    params: {
      RoleArn: role.arn,
      RoleSessionName: role.sessionName,
      ...(role.externalId !== undefined && { ExternalId: role.externalId }),
      ...(role.durationSeconds !== undefined && { DurationSeconds: role.durationSeconds }),
    },
    clientConfig: clientConfig(role),
  })
  return await load(provider, "The role cannot be assumed: check roleArn, externalId and the role's trust policy.")
}

async function providerOf(source: AmbientSource, { profile, sts }: Surroundings): Promise<IdentityProvider> {
  const { fromNodeProviderChain, fromEnv: fromEnvironment, fromIni, fromTokenFile, fromHttp, fromInstanceMetadata } = await sdk()
  const named = profile === undefined ? {} : { profile }
  switch (source) {
    case 'chain':
      return fromNodeProviderChain({ ...named, ...metadata, clientConfig: clientConfig(sts) })
    case 'environment':
      return fromEnvironment()
    case 'profile':
      return fromIni({ ...named, clientConfig: clientConfig(sts) })
    case 'web-identity':
      return fromTokenFile({ clientConfig: clientConfig(sts) })
    case 'container':
      return fromHttp(metadata)
    case 'instance':
      return fromInstanceMetadata(metadata)
  }
}

function clientConfig({ region, endpoint }: Sts): { region: string; endpoint?: string } {
  // A region that only names "anywhere" is none for this service.
  return { region: region === 'auto' ? 'us-east-1' : region, ...(endpoint !== undefined && { endpoint }) }
}

async function load(provider: IdentityProvider, hint: string): Promise<LoadedCredentials> {
  try {
    const { accessKeyId, secretAccessKey, sessionToken, expiration } = await provider()
    return { accessKeyId, secretAccessKey, sessionToken, expiration: expiration?.getTime() }
  } catch (caught) {
    throw credentialError(caught, hint)
  }
}

function identityOf({ accessKeyId, secretAccessKey, sessionToken }: Credentials): Identity {
  return { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) }
}

/** The SDK's errors carry requests and answers: only their words go on. */
function credentialError(caught: unknown, hint: string): CloudError {
  if (caught instanceof CloudError) return caught
  const error = caught instanceof Error ? caught : new Error(String(caught))
  const known = CloudError.from(withCodeOf(error))
  const status = statusOf(error)
  if (status === undefined && known.kind !== 'internal') {
    return new CloudError(known.kind, `credentials: ${error.message}`, known.code === undefined ? {} : { code: known.code })
  }
  const kind = status === 429 ? 'throttled' : status !== undefined && status >= 500 ? 'unavailable' : 'sign-in'
  return new CloudError(kind, `credentials: ${error.message}`, { code: error.name, hint })
}

/** A network error is often hidden one level down, or in a list of tries. */
function withCodeOf(error: Error): Error {
  for (let inner: unknown = error; inner instanceof Error; inner = inner.cause)
    if ('code' in inner && typeof inner.code === 'string') return inner
  return error
}

function statusOf(error: Error): number | undefined {
  if (!('$metadata' in error) || typeof error.$metadata !== 'object' || error.$metadata === null) return undefined
  const { httpStatusCode } = error.$metadata as { readonly httpStatusCode?: unknown }
  return typeof httpStatusCode === 'number' ? httpStatusCode : undefined
}
