import type { Response } from './connections.ts'
import { begin, plainHeaders } from './rest/write-answer.ts'

const html = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>CloudMoor</title>
<h1>CloudMoor is running</h1>
<p>This version has no interface for the browser yet. Use</p>
<ul>
<li>the command line: <code>cloudmoor --help</code>, <code>cloudmoor status</code></li>
<li>the API: gRPC, Connect, and REST below <code>/api/v1</code> with a token of <code>cloudmoor token create</code></li>
</ul>
</html>
`

/** Loads nothing, runs nothing, tells nothing that anybody may not know, and cannot be put into another page. */
const headers = {
  ...plainHeaders,
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
}

/** What stands where the web UI will: who follows a link of `cloudmoor ui` is told how to go on. */
export function writeFrontPage(response: Response): void {
  begin(response, 200, { ...headers, 'content-length': String(Buffer.byteLength(html)) })
  response.end(html)
}
