/** Something that needs a person, or did. Times in milliseconds since 1970. */
export interface AlertRecord {
  readonly id: string
  readonly severity: 'warning' | 'error'
  /** '' = about no mount. */
  readonly mountId: string
  /** Short constant name. */
  readonly reason: string
  readonly message: string
  /** Last warnings and errors of the log about the mount, oldest first. */
  readonly lines: readonly string[]
  readonly correlationId: string
  /** How often it came up while it was open. */
  readonly times: number
  readonly raisedAt: number
  readonly lastAt: number
  /** 0 = nobody did. */
  readonly acknowledgedAt: number
  readonly acknowledgedBy: string
  /** 0 = it is open. */
  readonly resolvedAt: number
  /** '' = nobody: it ended by itself. */
  readonly resolvedBy: string
}

/** What came up, `times` times. `lines` of one that is open already stay as they are. */
export type RaisedAlert = Pick<AlertRecord, 'id' | 'severity' | 'mountId' | 'reason' | 'message' | 'lines' | 'correlationId' | 'times'>
