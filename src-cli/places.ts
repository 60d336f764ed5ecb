import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { socketPlaces } from '../proto/client/find-socket.ts'

/** Folder of the installed program: what holds bin/, dist/ and build/. Right for src-cli/ and for the bundle in dist/ alike. */
export const installation = fileURLToPath(new URL('..', import.meta.url)).replace(/[\\/]$/, '')

/** Where the user's own service keeps its state. */
export function stateFolder(environment: NodeJS.ProcessEnv): string {
  const home = environment['CLOUDMOOR_HOME']
  if (home !== undefined && home !== '') return resolve(home)
  const state = environment['XDG_STATE_HOME']
  return join(state?.startsWith('/') === true ? state : join(homedir(), '.local', 'state'), 'cloudmoor')
}

/** Where the socket of the user's own service is. */
export function ownSocket(environment: NodeJS.ProcessEnv): string {
  return socketPlaces({ env: environment })[0]?.path ?? ''
}

export function runtimeFolder(environment: NodeJS.ProcessEnv): string {
  return dirname(ownSocket(environment))
}
