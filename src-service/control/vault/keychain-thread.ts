// A process of its own, because the keychain may ask the person, and then waits: does the one thing that stdin says.
import { Entry } from '@napi-rs/keyring'
import { text } from 'node:stream/consumers'
import type { KeychainAnswer, KeychainRequest } from './keychain.ts'

const service = 'CloudMoor'

function perform(request: KeychainRequest): KeychainAnswer {
  try {
    // Where there is no Secret Service the library would otherwise take the kernel's keyring, which forgets at a reboot.
    const entry = new Entry(service, request.account, { linux: { store: 'secret-service' } })
    switch (request.action) {
      case 'get':
        return { value: entry.getPassword() }
      case 'set':
        entry.setPassword(request.value)
        return { value: null }
      case 'remove':
        entry.deletePassword()
        return { value: null }
    }
  } catch (caught) {
    return { error: caught instanceof Error ? caught.message : String(caught) }
  }
}

process.stdout.write(JSON.stringify(perform(JSON.parse(await text(process.stdin)) as KeychainRequest)))
