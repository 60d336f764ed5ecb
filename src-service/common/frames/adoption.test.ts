import { fromJson, toJson } from '@bufbuild/protobuf'
import type { DescMessage, JsonValue } from '@bufbuild/protobuf'
import { expect, it } from 'vitest'
import { AdoptedSchema, AdoptSchema, HelloSchema } from '../../../proto/gen/cloudmoor/internal/v1/adoption_pb.js'
import { adoptionProtocol, asAdopt, asAdopted, parseHello } from './adoption.ts'
import type { Adopt, Adopted, Hello } from './adoption.ts'

/** What another program makes of the message that reads the frozen contract strictly. */
function throughContract(schema: DescMessage, message: object): JsonValue {
  return toJson(schema, fromJson(schema, JSON.parse(JSON.stringify(message)) as JsonValue, { ignoreUnknownFields: false }))
}

const hello: Hello = {
  protocol: adoptionProtocol,
  workerVersion: '1.2.3',
  pid: 42,
  bootId: 'b',
  workerId: 'w',
  mounts: [
    { mountId: 'm', state: 'HELD_STATE_ATTACHED', folder: '/f', mountPoint: '/p', revision: '9007199254740993', descriptors: 2 },
    { mountId: 'n', state: 'HELD_STATE_OPEN', folder: '/f', mountPoint: '', revision: '0', descriptors: 0 },
  ],
}
const adopt: Adopt = { mountId: 'm' }
const adopted: Adopted = {
  mountId: 'm',
  memoryLayout: 1,
  descriptors: ['DESCRIPTOR_FUSE', 'DESCRIPTOR_REQUEST_MEMORY'],
  backingIds: [{ node: '9007199254740993', backingId: 7 }],
}

it('is what the frozen contract says, in both directions', () => {
  expect(parseHello(throughContract(HelloSchema, hello))).toEqual(hello)
  expect(asAdopt(throughContract(AdoptSchema, adopt))).toEqual(adopt)
  expect(asAdopted(throughContract(AdoptedSchema, adopted))).toEqual(adopted)
})

it('reads what leaves its zeros out', () => {
  expect(parseHello(throughContract(HelloSchema, { ...hello, pid: 0, mounts: [] }))).toMatchObject({ pid: 0, mounts: [] })
  const empty = throughContract(AdoptedSchema, {
    mountId: 'm',
    memoryLayout: 0,
    descriptors: [],
    backingIds: [{ node: '0', backingId: 0 }],
  })
  expect(asAdopted(empty)).toMatchObject({ memoryLayout: 0, descriptors: [], backingIds: [{ node: '0', backingId: 0 }] })
})
