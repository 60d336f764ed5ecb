import { setTimeout as sleep } from 'node:timers/promises'
import { type ChaosProxy, startChaosProxy } from '../support/chaos-proxy.ts'
import { type Cloud, localCloud, minioCloud } from '../support/clouds.ts'
import { Installation, run, shell } from '../support/installation.ts'

/** A mount of a folder that plays the cloud, so that the test can be the other client. */
export interface LocalDrive extends AsyncDisposable {
  readonly installation: Installation
  readonly mount: string
  /** The cloud's folder. */
  readonly cloud: string
}

export async function localDrive(flags: readonly string[] = []): Promise<LocalDrive> {
  const cloud = await localCloud()
  const installation = await Installation.create()
  const end = async (): Promise<void> => {
    await installation[Symbol.asyncDispose]()
    await cloud[Symbol.asyncDispose]()
  }
  try {
    await installation.account('cloud', cloud.account)
    const mount = await installation.mount('drive', 'cloud', flags)
    return { installation, mount, cloud: cloud.folder ?? '', [Symbol.asyncDispose]: end }
  } catch (error) {
    await end()
    throw error
  }
}

/** A mount of a MinIO bucket behind a proxy that can spoil requests. */
export interface ProxiedDrive extends AsyncDisposable {
  readonly installation: Installation
  readonly mount: string
  readonly proxy: ChaosProxy
  readonly cloud: Cloud
}

export async function proxiedDrive(flags: readonly string[] = []): Promise<ProxiedDrive | { readonly missing: string }> {
  const cloud = await minioCloud()
  if ('missing' in cloud) return cloud
  const proxy = await startChaosProxy(cloud.account.set['endpoint'] ?? '')
  const installation = await Installation.create()
  const end = async (): Promise<void> => {
    await installation[Symbol.asyncDispose]()
    await proxy.close()
    await cloud[Symbol.asyncDispose]()
  }
  try {
    await installation.account('cloud', { ...cloud.account, set: { ...cloud.account.set, endpoint: proxy.endpoint } })
    const mount = await installation.mount('drive', 'cloud', flags)
    return { installation, mount, proxy, cloud, [Symbol.asyncDispose]: end }
  } catch (error) {
    await end()
    throw error
  }
}

/** Runs a script that may fail; its exit code and what it printed. */
export async function outcome(script: string, timeoutMs = 60_000): Promise<{ readonly code: number; readonly text: string }> {
  const { code, stdout, stderr } = await run('/bin/bash', ['--norc', '-uc', script], { timeoutMs })
  return { code, text: `${stdout}${stderr}` }
}

/** Waits until the script exits 0. */
export async function eventually(script: string, timeoutMs: number): Promise<void> {
  const end = performance.now() + timeoutMs
  for (;;) {
    const last = await outcome(script)
    if (last.code === 0) return
    if (performance.now() > end) throw new Error(`not within ${timeoutMs} ms: ${script}\n${last.text}`)
    await sleep(250)
  }
}

export { shell, sleep }
