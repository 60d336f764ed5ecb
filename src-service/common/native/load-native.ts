import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { CloudError } from '../errors.ts'
import type { Native } from './native.ts'

let loaded: Native | undefined

/**
 * The C addon, loaded once per process from `build/` beside the bundles or at the top of the source tree.
 * @throws CloudError `unsupported` where it cannot work or was not built.
 */
export function loadNative(): Native {
  loaded ??= load()
  return loaded
}

function load(): Native {
  if (process.platform !== 'linux') {
    throw new CloudError('unsupported', `the kernel mount driver is for Linux, this is ${process.platform}`, {
      hint: 'Use the rclone driver on this system.',
    })
  }
  const path = ['..', '../../..']
    .map((up) => join(import.meta.dirname, up, 'build/cloudmoor.node'))
    .find((candidate) => existsSync(candidate))
  if (path === undefined) {
    throw new CloudError('unsupported', 'the addon build/cloudmoor.node is missing', { hint: 'Run scripts/build-addon.' })
  }
  try {
    return createRequire(import.meta.url)(path) as Native
  } catch (cause) {
    throw new CloudError('unsupported', `the addon ${path} does not load`, {
      cause,
      hint: 'Run scripts/build-addon again on this machine.',
    })
  }
}
