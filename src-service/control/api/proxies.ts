import { BlockList, isIP } from 'node:net'
import { CloudError } from '../../common/errors.ts'

const lists = new WeakMap<readonly string[], BlockList>()

/** True if the address is one of `trusted`: addresses, or networks as `10.0.0.0/8`. */
export function isTrusted(address: string, trusted: readonly string[]): boolean {
  const family = isIP(address)
  if (family === 0 || trusted.length === 0) return false
  const list = lists.get(trusted) ?? makeList(trusted)
  return list.check(address, family === 4 ? 'ipv4' : 'ipv6')
}

function makeList(trusted: readonly string[]): BlockList {
  const list = new BlockList()
  for (const entry of trusted) {
    const [address = '', length] = entry.split('/')
    const family = isIP(address)
    if (family === 0) throw new CloudError('invalid', `'${entry}' is not an address or a network`)
    const kind = family === 4 ? 'ipv4' : 'ipv6'
    if (length === undefined) list.addAddress(address, kind)
    else list.addSubnet(address, Number(length), kind)
  }
  lists.set(trusted, list)
  return list
}
