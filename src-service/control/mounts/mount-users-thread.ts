import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/**
 * A short-lived process of its own that lists who uses a mount: `PID\tNAME\tHOW` lines. Its parent ends it when it takes too
 * long: /proc/PID/maps waits for a lock that a process stuck in a page fault of the mount may hold. Links in
 * /proc/PID/{cwd,root,exe,fd} are read, not followed: nothing here enters the mount.
 */
const path = process.argv[2] ?? ''
const most = 50

let found = 0
for (const pid of readdirSync('/proc')) {
  if (!/^\d+$/.test(pid) || Number(pid) === process.pid || found >= most) continue
  const how = useOf(pid)
  if (how === null) continue
  found++
  process.stdout.write(`${pid}\t${nameOf(pid)}\t${how}\n`)
}

function useOf(pid: string): string | null {
  if (isBelow(linkOf(`/proc/${pid}/cwd`))) return 'works in it'
  if (isBelow(linkOf(`/proc/${pid}/root`))) return 'has its root in it'
  for (const fd of listOf(`/proc/${pid}/fd`)) {
    const target = linkOf(`/proc/${pid}/fd/${fd}`)
    if (isBelow(target)) return `has ${target} open`
  }
  if (isBelow(linkOf(`/proc/${pid}/exe`))) return 'runs from it'
  const mapped = mappedFile(pid)
  return mapped === null ? null : `has ${mapped} mapped`
}

function mappedFile(pid: string): string | null {
  let maps: string
  try {
    maps = readFileSync(`/proc/${pid}/maps`, 'utf8')
  } catch {
    return null
  }
  for (const line of maps.split('\n')) {
    const start = line.indexOf('/')
    if (start >= 0 && isBelow(line.slice(start))) return line.slice(start)
  }
  return null
}

function isBelow(target: string): boolean {
  return target === path || target.startsWith(`${path}/`)
}

function linkOf(link: string): string {
  try {
    return readlinkSync(link)
  } catch {
    return ''
  }
}

function listOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function nameOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
  } catch {
    return '?'
  }
}
