import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { CloudError } from '../../../common/errors.ts'

/**
 * No option runs a program, so neither does one that names a profile: the SDK would run what a `credential_process` of AWS's own
 * configuration files says. Looks at the profile and at those whose keys it uses (`source_profile`).
 *
 * @throws CloudError `sign-in` (RUNS_A_PROGRAM)
 */
export async function refusePrograms(profile: string): Promise<void> {
  const files = [process.env['AWS_CONFIG_FILE'] ?? '~/.aws/config', process.env['AWS_SHARED_CREDENTIALS_FILE'] ?? '~/.aws/credentials']
  // What cannot be read the SDK does not read either.
  const texts = await Promise.all(files.map((path) => readFile(path.replace(/^~\//, `${homedir()}/`), 'utf8').catch(() => '')))
  const profiles = texts.map(readProfiles)
  const seen = new Set<string>()
  for (let names = [profile]; names.length > 0; ) {
    const [name = '', ...rest] = names
    names = rest
    if (seen.has(name)) continue
    seen.add(name)
    for (const found of profiles.map((all) => all.get(name))) {
      if (found?.has('credential_process') === true) throw runsAProgram(name)
      const source = found?.get('source_profile')
      if (source !== undefined) names.push(source)
    }
  }
}

/** Settings of each profile: `[name]`, in the configuration file `[profile name]`, quoted or not. */
function readProfiles(text: string): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const profiles = new Map<string, Map<string, string>>()
  let current = new Map<string, string>()
  for (const line of text.split(/\r?\n/)) {
    const section = /^\s*\[\s*(?:profile\s+)?["']?(.*?)["']?\s*\]/.exec(line)?.[1]
    if (section !== undefined) {
      current = profiles.get(section) ?? new Map<string, string>()
      profiles.set(section, current)
      continue
    }
    const [, name, value] = /^\s*([^=#;\s]+)\s*=\s*(.*?)\s*$/.exec(line) ?? []
    if (name !== undefined && value !== undefined) current.set(name, value)
  }
  return profiles
}

function runsAProgram(profile: string): CloudError {
  return new CloudError('sign-in', `the profile '${profile}' names a program (credential_process), and CloudMoor runs none`, {
    code: 'RUNS_A_PROGRAM',
    hint: 'Choose a profile with keys, a role or single sign-on, or give the account keys of its own.',
  })
}
