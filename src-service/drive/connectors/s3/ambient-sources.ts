/** Where an account without keys of its own gets them. */
export const ambientSources = ['chain', 'environment', 'profile', 'web-identity', 'container', 'instance'] as const

export type AmbientSource = (typeof ambientSources)[number]
