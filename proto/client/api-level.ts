/** Level of the API that this tree speaks. Grows when a client of the level before could misunderstand something. */
export const apiLevel = 1

/** A service of level N serves clients of level N and N-1. Which side is too old for the other; null = they fit. */
export function whoIsTooOld(serviceLevel: number, clientLevel: number = apiLevel): 'service' | 'client' | null {
  if (serviceLevel < clientLevel) return 'service'
  return serviceLevel > clientLevel + 1 ? 'client' : null
}
