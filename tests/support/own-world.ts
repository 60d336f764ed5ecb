/** A world of its own for programs that do whatever comes to their minds: they reach no network and change nothing of this machine. */
import { run } from './installation.ts'

/**
 * Own mounts (other drives are not there, nothing can be written but below `$0`), own devices (none that holds data), own network
 * (loopback alone), own processes (all of them end with the first).
 */
const script = `
  ip link set lo up
  mount --bind "$0" "$0"
  mkdir -p "$0/dev"
  mount -t tmpfs none "$0/dev"
  for node in null:1:3 zero:1:5 random:1:8 urandom:1:9 fuse:10:229; do
    numbers="\${node#*:}"
    mknod -m 666 "$0/dev/\${node%%:*}" c "\${numbers%:*}" "\${numbers#*:}"
  done
  mount --move "$0/dev" /dev
  rmdir "$0/dev"
  while read -r _ _ _ _ place rest; do
    place=$(printf '%b' "$place")
    case "$place $rest" in
      "$0 "* | "/dev "* | /dev/* | *' - fusectl '*) ;;
      *' - fuse'*) umount -l "$place" ;;
      *) mount -o remount,bind,ro "$place" ;;
    esac
  done < /proc/self/mountinfo
  exec "$@"`

/** Words before a command that make it run so. @param folder the only place that it can write to */
export function inOwnWorld(folder: string): readonly string[] {
  const spaces = ['--mount', '--propagation', 'slave', '--net', '--pid', '--fork', '--kill-child', '--mount-proc']
  return ['unshare', ...spaces, '/bin/sh', '-euc', script, folder]
}

/** Why there can be none here; null = there can. */
export async function whyNoOwnWorld(folder: string): Promise<string | null> {
  const [command = '', ...args] = inOwnWorld(folder)
  const { code, stderr } = await run(command, [...args, 'true']).catch((caught: unknown) => ({ code: 1, stderr: String(caught) }))
  return code === 0 ? null : `no name spaces of one's own here: ${stderr.trim()}`
}
