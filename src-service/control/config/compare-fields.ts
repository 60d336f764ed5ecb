/** A field that gets another value; '' = it is not set. */
export interface FieldChange {
  readonly field: string
  readonly from: string
  readonly to: string
}

type Fields = Readonly<Record<string, string | number | boolean | undefined>>

/** Fields whose values differ, in the order of their names. */
export function compareFields(from: Fields, to: Fields): FieldChange[] {
  const names = [...new Set([...Object.keys(from), ...Object.keys(to)])].sort()
  return names.flatMap((field) => {
    const [before, after] = [from[field], to[field]]
    return before === after ? [] : [{ field, from: String(before ?? ''), to: String(after ?? '') }]
  })
}
