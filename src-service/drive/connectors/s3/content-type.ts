import type { RemoteType } from '../connector.ts'

/** What browsers and previews need to know; a bucket may be a web site. */
const byExtension: Readonly<Record<string, string>> = {
  avif: 'image/avif',
  bmp: 'image/bmp',
  css: 'text/css',
  csv: 'text/csv',
  gif: 'image/gif',
  gz: 'application/gzip',
  htm: 'text/html',
  html: 'text/html',
  ico: 'image/vnd.microsoft.icon',
  jpeg: 'image/jpeg',
  jpg: 'image/jpeg',
  js: 'text/javascript',
  json: 'application/json',
  md: 'text/markdown',
  mjs: 'text/javascript',
  mp3: 'audio/mpeg',
  mp4: 'video/mp4',
  ogg: 'audio/ogg',
  pdf: 'application/pdf',
  png: 'image/png',
  svg: 'image/svg+xml',
  tar: 'application/x-tar',
  txt: 'text/plain',
  wasm: 'application/wasm',
  wav: 'audio/wav',
  webm: 'video/webm',
  webp: 'image/webp',
  woff2: 'font/woff2',
  xml: 'application/xml',
  yaml: 'application/yaml',
  yml: 'application/yaml',
  zip: 'application/zip',
}

/** s3fs marks folders as this does. */
export function contentType(type: RemoteType, key: Buffer): string {
  if (type === 'folder') return 'application/x-directory'
  const extension = /\.([A-Za-z0-9]{1,5})$/.exec(key.toString('latin1'))?.[1]?.toLowerCase() ?? ''
  const known = Object.hasOwn(byExtension, extension) ? byExtension[extension] : undefined
  return type === 'file' && known !== undefined ? known : 'application/octet-stream'
}
