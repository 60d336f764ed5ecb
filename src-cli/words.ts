/** The word for a value of a protobuf enum: `MOUNT_STATE_MOUNTED` (MountState.MOUNTED) is `mounted`, `NEEDS_SIGN_IN` is `needs-sign-in`. */
export function word(names: Readonly<Record<number, string>>, value: number): string {
  const name = names[value]
  if (name === undefined || name === 'UNSPECIFIED') return 'unknown'
  return name.toLowerCase().replaceAll('_', '-')
}
