import type { MessageInitShape } from '@bufbuild/protobuf'
import { timestampMs } from '@bufbuild/protobuf/wkt'
import type { ServiceImpl } from '@connectrpc/connect'
import type { TokenSchema, TokenService } from '../../../proto/gen/cloudmoor/v1/token_pb.js'
import { CloudError } from '../../common/errors.ts'
import type { TokenRecord } from '../store/access-records.ts'
import type { Tokens } from '../users/tokens.ts'
import { callerOf } from './call.ts'
import { readGrant, writeGrant } from './grant-wire.ts'
import { pageOf } from './page.ts'
import { writeTime } from './wire-values.ts'

/** TokenService in terms of `Tokens`. */
export function tokenHandler(tokens: Tokens): ServiceImpl<typeof TokenService> {
  return {
    listTokens: async (request) => {
      const { entries, nextPageToken } = pageOf(await tokens.list(), (token) => token.name, request)
      return { tokens: entries.map(writeToken), nextPageToken }
    },

    createToken: async ({ token: given }, context) => {
      if (given === undefined) throw new CloudError('invalid', 'token is missing')
      const expiresAt = given.expireTime === undefined ? 0 : timestampMs(given.expireTime)
      const draft = { name: given.name, grant: readGrant(given.grant), expiresAt, createdBy: callerOf(context).name }
      const { token, text } = await tokens.create(draft)
      return { token: writeToken(token), text: text.reveal() }
    },

    rotateToken: async ({ id }) => {
      const { token, text } = await tokens.rotate(id)
      return { token: writeToken(token), text: text.reveal() }
    },

    revokeToken: async ({ id }) => {
      await tokens.revoke(id)
      return {}
    },
  }
}

function writeToken(token: TokenRecord): MessageInitShape<typeof TokenSchema> {
  return {
    id: token.id,
    name: token.name,
    grant: writeGrant(token),
    ...(token.expiresAt === 0 ? {} : { expireTime: writeTime(token.expiresAt) }),
    ...(token.lastUsedAt === 0 ? {} : { useTime: writeTime(token.lastUsedAt) }),
    usedFrom: token.lastUsedFrom,
    createdBy: token.createdBy,
    createTime: writeTime(token.createdAt),
  }
}
