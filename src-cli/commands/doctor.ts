import { spawn } from 'node:child_process'
import type { Command } from 'commander'
import { DiagnosisResult } from '../../proto/gen/cloudmoor/v1/system_pb.js'
import type { Cli } from '../cli.ts'
import type { Finding } from '../doctor-checks.ts'
import { checkMachine } from '../doctor-checks.ts'
import { exitCodes } from '../exit-codes.ts'
import { Failure } from '../failure.ts'
import { failureOf } from '../failure-of.ts'
import { leftMounts } from '../left-mounts.ts'
import { allMounts } from '../lookup.ts'
import { colour, safe, show } from '../output.ts'
import type { Service } from '../service.ts'

/** `cloudmoor doctor`. */
export function addDoctorCommand(program: Command, cli: Cli): void {
  program
    .command('doctor')
    .description('look for what is missing on this machine, and say how to get it')
    .action(() => doctor(cli))
}

async function doctor(cli: Cli): Promise<void> {
  const machine = await checkMachine()
  const { service, finding } = await askService(cli)
  const told = service === undefined ? [] : await diagnoses(service)
  const names = new Set(machine.map(({ name }) => name))
  const findings = [...machine, finding, ...told.filter(({ name }) => !names.has(name)), await staleMounts(service)]
  const failures = findings.filter(({ result }) => result === 'failure').length
  show(cli.output, { ok: failures === 0, findings }, () => findings.map((found) => findingText(cli, found)).join('\n'))
  if (failures > 0) {
    throw new Failure(`${failures} of ${findings.length} checks failed`, { exitCode: exitCodes.failed, reason: 'DOCTOR' })
  }
}

function findingText(cli: Cli, { name, result, detail, hint }: Finding): string {
  const marks = { ok: ['green', 'ok'], warning: ['yellow', 'warning'], failure: ['red', 'MISSING'] } as const
  const [style, mark] = marks[result]
  const line = `${colour(cli.output, style, mark.padEnd(8))} ${name.padEnd(15)} ${safe(detail)}`
  return hint === '' ? line : `${line}\n${' '.repeat(25)}-> ${safe(hint)}`
}

async function askService(cli: Cli): Promise<{ readonly service?: Service; readonly finding: Finding }> {
  try {
    const service = await cli.connect()
    return { service, finding: { name: 'service', result: 'ok', detail: `answers at ${service.place.path}`, hint: '' } }
  } catch (error) {
    const { message, reason, hint } = failureOf(error)
    if (reason === 'NO_SERVICE')
      return { finding: { name: 'service', result: 'ok', detail: 'does not run; it is started when it is needed', hint: '' } }
    return { finding: { name: 'service', result: 'failure', detail: message, hint: hint ?? '' } }
  }
}

async function diagnoses(service: Service): Promise<Finding[]> {
  const results = {
    [DiagnosisResult.OK]: 'ok',
    [DiagnosisResult.WARNING]: 'warning',
    [DiagnosisResult.FAILURE]: 'failure',
    [DiagnosisResult.UNSPECIFIED]: 'warning',
  } as const
  const answer = await service.system.diagnose({})
  return answer.diagnoses.map(({ name, result, detail, hint }) => ({ name, result: results[result], detail, hint }))
}

/** Mounts in the kernel that nobody serves. */
async function staleMounts(service: Service | undefined): Promise<Finding> {
  const name = 'stale-mounts'
  const served = new Set(service === undefined ? [] : (await allMounts(service)).map((mount) => mount.path))
  const left = (await leftMounts()).filter((mount) => !served.has(mount.path))
  const dead: string[] = []
  for (const mount of left) if (!(await answers(mount.path))) dead.push(mount.path)
  if (dead.length === 0) return { name, result: 'ok', detail: 'no mount is left without a process', hint: '' }
  return {
    name,
    result: 'warning',
    detail: `nobody serves: ${dead.join(', ')}`,
    hint: 'cloudmoor service start takes them over or cleans them up; by hand: fusermount3 -u -z DIR',
  }
}

const patienceMs = 2000

/**
 * Asks the mount in a process of its own: where nobody answers, that process may wait, and this one does not. A mount that
 * does not let this user in is served all the same.
 */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn('stat', ['--file-system', '--', path], {
      stdio: ['ignore', 'ignore', 'pipe'],
      cwd: '/',
      env: { ...process.env, LC_ALL: 'C' },
    })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      child.stderr.destroy()
      child.unref()
      resolve(false)
    }, patienceMs)
    const done = (answer: boolean): void => {
      clearTimeout(timer)
      resolve(answer)
    }
    child.once('error', () => done(true))
    child.once('close', () => done(!said.includes('not connected')))
  })
}
