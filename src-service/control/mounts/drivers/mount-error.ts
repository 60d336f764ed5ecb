import { CloudError } from '../../../common/errors.ts'

/**
 * Says in our words why the kernel or fusermount3 refused to mount or unmount. The helper gives only text, always
 * English: it has no translations.
 */
export function mountError(caught: unknown, path: string): CloudError {
  const error = CloudError.from(caught)
  if (error.code?.includes('_') === true) return error
  const text = error.message
  if (/allow_other only allowed|user_allow_other/.test(text)) {
    return new CloudError('permission', 'other users may not be let into mounts on this machine', {
      cause: caught,
      code: 'NO_MOUNT_RIGHT',
      hint: "Write 'user_allow_other' into /etc/fuse.conf, or use --access owner.",
    })
  }
  if (error.kind === 'busy' || /resource busy/i.test(text))
    return new CloudError('busy', `${path} is in use`, { cause: caught, code: 'MOUNT_BUSY' })
  if (error.code === 'ENOENT' && /spawn/.test(text)) {
    return new CloudError('unsupported', 'fusermount3 is missing', {
      cause: caught,
      code: 'NO_FUSE',
      hint: 'Install the package fuse3, or run the service as root.',
    })
  }
  if (error.code === 'ENODEV' || /fuse device not found|modprobe fuse/i.test(text)) {
    return new CloudError('unsupported', 'the kernel has no FUSE', {
      cause: caught,
      code: 'NO_FUSE',
      hint: 'Load the kernel module: modprobe fuse.',
    })
  }
  if (/no write access to mountpoint|is owned by/i.test(text)) {
    return new CloudError('access', `${path} belongs to someone else`, {
      cause: caught,
      code: 'NO_MOUNT_RIGHT',
      hint: 'Choose a folder of your own.',
    })
  }
  if (error.kind === 'permission' || error.kind === 'access' || /not permitted|permission denied/i.test(text)) {
    return new CloudError('permission', `this user may not mount on ${path}`, {
      cause: caught,
      code: 'NO_MOUNT_RIGHT',
      hint: 'fusermount3 must be installed setuid root (package fuse3); in a container allow SYS_ADMIN.',
    })
  }
  if (error.kind === 'not-found' || /no such file/i.test(text)) {
    return new CloudError('not-found', `${path} does not exist`, {
      cause: caught,
      code: 'MOUNT_POINT_MISSING',
      hint: `Make it: mkdir -p '${path}'`,
    })
  }
  if (error.kind === 'invalid' || /not mounted|not found in/i.test(text))
    return new CloudError('not-found', `${path} is not mounted`, { cause: caught })
  return new CloudError('io', `mounting on ${path}: ${text}`, { cause: caught, ...(error.code === undefined ? {} : { code: error.code }) })
}
