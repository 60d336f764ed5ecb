import type { MessageInitShape } from '@bufbuild/protobuf'
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect'
import type { SessionSchema, SessionService } from '../../../proto/gen/cloudmoor/v1/session_pb.js'
import { CloudError } from '../../common/errors.ts'
import { Secret } from '../../common/secret.ts'
import type { SessionRecord } from '../store/access-records.ts'
import type { Access } from '../users/access.ts'
import type { OpenedSession } from '../users/sessions.ts'
import { arrivalKey, callerOf, principalKey } from './call.ts'
import { cookieLine } from './cookies.ts'
import { writeGrant } from './grant-wire.ts'
import { writeTime } from './wire-values.ts'

export interface SessionPlaces {
  /** Part of the cookie's name: cookies do not tell ports apart. */
  readonly instance: string
  /** The address of the web UI with this behind `#`; '' = there is none. */
  readonly linkTo: (fragment: string) => string
}

/** SessionService in terms of `Access`. */
export function sessionHandler({ users, sessions }: Access, { instance, linkTo }: SessionPlaces): ServiceImpl<typeof SessionService> {
  /** The session goes into a cookie, and the caller is its principal from here on: for the audit log. */
  async function begin(context: HandlerContext, { session, cookie }: OpenedSession): Promise<MessageInitShape<typeof SessionSchema>> {
    const arrival = context.values.get(arrivalKey)
    const principal = await sessions.authenticate(cookie.reveal(), arrival.address)
    context.values.set(principalKey, principal)
    context.responseHeader.append('set-cookie', cookieLine(instance, arrival.secure, cookie.reveal()))
    return writeSession(session)
  }

  return {
    login: async ({ name, password }, context) => {
      const { address } = context.values.get(arrivalKey)
      const user = await users.check(name, new Secret(password), address)
      return { session: await begin(context, await sessions.openFor(user, address)) }
    },

    loginWithCode: async ({ code }, context) => ({
      session: await begin(context, await sessions.openWithCode(code, context.values.get(arrivalKey).address)),
    }),

    acceptInvite: async ({ code, password }, context) => {
      const { address } = context.values.get(arrivalKey)
      const user = await users.accept(code, new Secret(password), address)
      return { session: await begin(context, await sessions.openFor(user, address)) }
    },

    logout: async (_request, context) => {
      const { cookie, secure } = context.values.get(arrivalKey)
      if (cookie !== '') {
        context.responseHeader.append('set-cookie', cookieLine(instance, secure, ''))
        await sessions.endByCookie(cookie)
      }
      return {}
    },

    whoAmI: (_request, context) => {
      const principal = callerOf(context)
      return { principal: principal.name, grant: writeGrant(principal) }
    },

    createLoginCode: (_request, context) => {
      const link = linkTo('')
      if (context.values.get(arrivalKey).via !== 'socket' || link === '') {
        throw new CloudError('permission', 'codes are given on the unix socket, for a service that has an address besides')
      }
      const { code, expiresAt } = sessions.newCode(callerOf(context))
      return { code, link: linkTo(`code=${code}`), expireTime: writeTime(expiresAt) }
    },

    changePassword: async ({ oldPassword, newPassword }, context) => {
      const name = /^user:(.+)$/.exec(callerOf(context).name)?.[1]
      const user = (await users.list()).find((candidate) => candidate.name === name)
      if (user === undefined) throw new CloudError('permission', 'only users have passwords')
      const { address } = context.values.get(arrivalKey)
      await users.changePassword(user.id, new Secret(oldPassword), new Secret(newPassword), address)
      return {}
    },

    listSessions: async () => ({ sessions: (await sessions.list()).slice(0, 1000).map(writeSession) }),

    revokeSession: async ({ id }) => {
      await sessions.end(id)
      return {}
    },
  }
}

function writeSession({ id, principal, address, createdAt, expiresAt, lastUsedAt }: SessionRecord): MessageInitShape<typeof SessionSchema> {
  const [createTime, expireTime, useTime] = [writeTime(createdAt), writeTime(expiresAt), writeTime(lastUsedAt)]
  return { id, principal, address, createTime, expireTime, useTime }
}
