import type { CapabilityCheck } from '../../src-service/common/drive-state.ts'

type Sheet = Readonly<Record<string, CapabilityCheck['result']>>

/** What measuring finds on each server; pinned, and shown in docs/providers/s3.md. */
export const s3Sheets = {
  MinIO: {
    'conditional creation': 'yes',
    'conditional replacement': 'yes',
    'conditional completion of large uploads': 'yes',
    'conditional removal': 'no',
    'server-side copy': 'yes',
    'conditional copy': 'no',
    'CRC32 of contents': 'yes',
    'MD5 of contents': 'yes',
    'attributes in listings': 'yes',
    'removing many at once': 'yes',
    'names over 255 bytes': 'no',
    'versions are kept': 'no',
  },
  versitygw: {
    'conditional creation': 'yes',
    'conditional replacement': 'yes',
    'conditional completion of large uploads': 'yes',
    'conditional removal': 'yes',
    'server-side copy': 'yes',
    'conditional copy': 'no',
    'CRC32 of contents': 'yes',
    'MD5 of contents': 'yes',
    'attributes in listings': 'no',
    'removing many at once': 'yes',
    'names over 255 bytes': 'no',
    'versions are kept': 'no',
  },
  Swift: {
    'conditional creation': 'yes',
    'conditional replacement': 'no',
    'conditional completion of large uploads': 'yes',
    'conditional removal': 'yes',
    'server-side copy': 'yes',
    'conditional copy': 'no',
    'CRC32 of contents': 'yes',
    'MD5 of contents': 'yes',
    'attributes in listings': 'no',
    'removing many at once': 'yes',
    'names over 255 bytes': 'yes',
    'versions are kept': 'no',
  },
} as const satisfies Record<string, Sheet>
