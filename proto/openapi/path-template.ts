/** A path of a google.api.http rule, ready to match and to describe. */
export interface PathTemplate {
  /** Matches a whole path; one group for each variable. */
  readonly expression: RegExp
  readonly variables: readonly PathVariable[]
  /** As OpenAPI writes it: `/mounts/{id}`. */
  readonly openApi: string
}

export interface PathVariable {
  /** Field of the request, `mount.id`. */
  readonly field: string
  /** What OpenAPI calls it, `id`. */
  readonly name: string
  /** It may hold slashes. */
  readonly deep: boolean
}

/**
 * Reads `/a/{field}/{other=b/*}/{rest=**}:verb`. `*` is one segment (a colon in it is written %3A), `**` any number of them, also none.
 * Throws `Error` for a template that is none.
 */
export function readTemplate(template: string): PathTemplate {
  const variables: PathVariable[] = []
  let expression = ''
  let openApi = ''
  for (const piece of template.match(/\{[^{}]+\}|[^{}]+/g) ?? []) {
    if (!piece.startsWith('{')) {
      expression += expressionOf(piece)
      openApi += piece
      continue
    }
    const [field = '', pattern = '*'] = piece.slice(1, -1).split('=')
    const name = field.replace(/^.*\./, '').replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
    variables.push({ field, name, deep: pattern.includes('/') || pattern.includes('**') })
    expression += `(${expressionOf(pattern)})`
    openApi += `{${name}}`
  }
  if (!template.startsWith('/') || variables.some(({ field }) => field === '')) throw new Error(`'${template}' is no path template`)
  return { expression: new RegExp(`^${expression}$`), variables, openApi }
}

function expressionOf(pattern: string): string {
  return pattern
    .split(/(\*\*|\*)/)
    .map((part) => (part === '**' ? '.*' : part === '*' ? '[^/:]+' : part.replace(/[.+?^$()|[\]\\]/g, '\\$&')))
    .join('')
}
