/** A promise without a value, and what resolves it. */
export function settlable(): { readonly promise: Promise<undefined>; readonly resolve: () => void } {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  return { promise, resolve: () => resolve(undefined) }
}
