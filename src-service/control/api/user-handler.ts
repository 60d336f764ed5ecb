import { clone } from '@bufbuild/protobuf'
import type { MessageInitShape } from '@bufbuild/protobuf'
import type { ServiceImpl } from '@connectrpc/connect'
import { CreateUserRequestSchema } from '../../../proto/gen/cloudmoor/v1/user_pb.js'
import type { User, UserSchema, UserService } from '../../../proto/gen/cloudmoor/v1/user_pb.js'
import { CloudError } from '../../common/errors.ts'
import type { UserRecord } from '../store/access-records.ts'
import type { Users, UserUpdate } from '../users/users.ts'
import type { CreateOnce } from './create-once.ts'
import { readGrant, writeGrant } from './grant-wire.ts'
import { pageOf } from './page.ts'
import { readDuration, readEtag, writeEtag, writeTime } from './wire-values.ts'

const inviteMs = 3 * 24 * 3600 * 1000
const changeable = ['name', 'grant', 'disabled', 'subject'] as const

/** UserService in terms of `Users`. @param linkTo the address of the web UI with this behind `#`; '' = there is none */
export function userHandler(users: Users, once: CreateOnce, linkTo: (fragment: string) => string): ServiceImpl<typeof UserService> {
  return {
    listUsers: async (request) => {
      const { entries, nextPageToken } = pageOf(await users.list(), (user) => user.name, request)
      return { users: entries.map(writeUser), nextPageToken }
    },

    getUser: async ({ id }) => ({ user: writeUser(await users.get(id)) }),

    createUser: async (request) => {
      const given = request.user ?? missing()
      const draft = { name: given.name, grant: readGrant(given.grant), subject: given.subject }
      const comparable = clone(CreateUserRequestSchema, request)
      comparable.requestId = ''
      const id = await once.run('CreateUser', request.requestId, CreateUserRequestSchema, comparable, async (key) => {
        return (await users.create(draft, key)).id
      })
      return { user: writeUser(await users.get(id)) }
    },

    updateUser: async ({ user, updateMask }) => {
      const given = user ?? missing()
      const update = readUpdate(given, updateMask?.paths ?? [])
      return { user: writeUser(await users.update(given.id, readEtag(given.etag), update)) }
    },

    removeUser: async ({ id, etag }) => {
      await users.remove(id, readEtag(etag))
      return {}
    },

    inviteUser: async ({ id, lifetime }) => {
      const { code, expiresAt } = await users.invite(id, lifetime === undefined ? inviteMs : readDuration(lifetime))
      return { code, link: linkTo(`invite=${code}`), expireTime: writeTime(expiresAt) }
    },
  }
}

function missing(): never {
  throw new CloudError('invalid', 'user is missing')
}

function readUpdate(user: User, paths: readonly string[]): UserUpdate {
  const unknown = paths.find((path) => !changeable.some((field) => field === path))
  if (unknown !== undefined) {
    throw new CloudError('invalid', `update_mask: '${unknown}' cannot be changed`, { hint: `One of ${changeable.join(', ')}.` })
  }
  const has = (field: (typeof changeable)[number]) => paths.includes(field)
  return {
    ...(has('name') ? { name: user.name } : {}),
    ...(has('grant') ? { grant: readGrant(user.grant) } : {}),
    ...(has('disabled') ? { disabled: user.disabled } : {}),
    ...(has('subject') ? { subject: user.subject } : {}),
  }
}

function writeUser(user: UserRecord): MessageInitShape<typeof UserSchema> {
  return {
    id: user.id,
    name: user.name,
    etag: writeEtag(user.revision),
    grant: writeGrant(user),
    disabled: user.disabled,
    subject: user.subject,
    hasPassword: user.password !== '',
    ...(user.invite === '' ? {} : { inviteExpireTime: writeTime(user.inviteExpiresAt) }),
    ...(user.lastLoginAt === 0 ? {} : { loginTime: writeTime(user.lastLoginAt) }),
    createTime: writeTime(user.createdAt),
    updateTime: writeTime(user.updatedAt),
  }
}
