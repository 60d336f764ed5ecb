import type { CapabilityCheck } from '../../src-service/common/drive-state.ts'
/** What `config test` finds on the servers that the tests have; the table in docs/providers/webdav.md is made of it. */

type Sheet = Readonly<Record<string, CapabilityCheck['result']>>

export const webdavSheets: Readonly<Record<'Apache' | 'nginx', Sheet>> = {
  Apache: {
    'conditional creation': 'yes',
    'conditional replacement': 'yes',
    'conditional removal': 'yes',
    'names with a leading dot': 'yes',
    'versions by tag': 'yes',
    'part of a file': 'yes',
    'modification times kept': 'no',
    'uploads appear whole': 'yes',
    'space left': 'no',
    'encrypted connection': 'no',
  },
  nginx: {
    'conditional creation': 'no',
    'conditional replacement': 'no',
    'conditional removal': 'no',
    'names with a leading dot': 'no',
    'versions by tag': 'no',
    'part of a file': 'yes',
    'modification times kept': 'no',
    'uploads appear whole': 'yes',
    'space left': 'no',
    'encrypted connection': 'no',
  },
}

/** The table of docs/providers/webdav.md. What depends on the connection and not on the server is left out. */
export function sheetTable(): string {
  const servers = Object.entries(webdavSheets)
  const names = Object.keys(webdavSheets.Apache).filter((name) => name !== 'encrypted connection')
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [
    line(['', ...servers.map(([server]) => server)]),
    `|${'---|'.repeat(servers.length + 1)}`,
    ...names.map((name) => line([name, ...servers.map(([, sheet]) => sheet[name] ?? '')])),
  ].join('\n')
}
