import type { Commit, Filesystem, Maybe } from '../vfs/filesystem.ts'
import type { ReplyWriter } from './replies.ts'
import type { RequestReader } from './requests.ts'

/** Writes the payload of an answer and gives its length, or `-errno` to refuse after all. */
export type Encode<T> = (reply: ReplyWriter, value: T) => number

/**
 * Longest wait for an answer: that of metadata, that of reads, or none (an fsync that goes to the provider, a write that waits for room).
 */
export type Patience = 'metadata' | 'data' | 'none'

/**
 * How requests get their answers. A `call` reads what it needs from the request before it waits for anything, because the
 * reader moves on to the next request.
 */
export interface Responder {
  /**
   * A question, or an action that may be done twice: simply asked again after a crash.
   * @param undo takes back a success that came after the deadline, of which the kernel will not know.
   */
  ask<T>(
    call: (filesystem: Filesystem, request: RequestReader) => Maybe<T>,
    encode: Encode<T>,
    patience?: Patience,
    undo?: (filesystem: Filesystem, value: T) => Maybe<void>,
  ): void
  /** A change that must happen once: its commit runs inside the request log, and its refusals are logged as well. */
  change<T>(call: (filesystem: Filesystem, request: RequestReader) => Maybe<Commit<T>>, encode: Encode<T>, patience?: Patience): void
  /** An fsync of some kind: no deadline, ended only with the connection. */
  sync(call: (filesystem: Filesystem, request: RequestReader, signal: AbortSignal) => Promise<void>): void
  read(): void
  readdir(plus: boolean): void
  init(): void
  /** Answers with nothing (0) or an errno. */
  answer(errno: number): void
  /** Frees the place of a request that has no answer. */
  drop(): void
  /** Bytes of struct fuse_setxattr_in on this connection. */
  readonly setxattrSize: number
}

/** What is done with one opcode. */
export interface Operation {
  readonly name: string
  /** Least bytes after the header; shorter requests are refused. */
  readonly least: number
  /** Whether its answers are kept in the request log. */
  readonly logged: boolean
  /** False: the kernel waits for no answer (FORGET and the like). */
  readonly answered: boolean
  /** Errno for a CloudError of kind `unsupported`. */
  readonly unsupported: number
  serve(respond: Responder, request: RequestReader): void
}
