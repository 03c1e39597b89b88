// Git's own server side behind the lab's HTTPS: `git http-backend` as the CGI program it is, which streams both ways.
import { spawn } from 'node:child_process';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';

/** The variables of RFC 3875 that git http-backend reads. */
function cgiVariables(projectRoot: string, request: IncomingMessage, url: URL): NodeJS.ProcessEnv {
  const { headers } = request;
  return {
    PATH: process.env['PATH'],
    GIT_PROJECT_ROOT: projectRoot,
    GIT_HTTP_EXPORT_ALL: '1',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    REMOTE_USER: 'lab', // a push is only taken from somebody
    REMOTE_ADDR: '127.0.0.1',
    REQUEST_METHOD: request.method,
    PATH_INFO: decodeURIComponent(url.pathname.replace(/^\/git/u, '')),
    QUERY_STRING: url.search.slice(1),
    CONTENT_TYPE: headers['content-type'] ?? '',
    CONTENT_LENGTH: headers['content-length'],
    HTTP_CONTENT_ENCODING: headers['content-encoding'],
    HTTP_GIT_PROTOCOL: String(headers['git-protocol'] ?? ''),
    GIT_PROTOCOL: String(headers['git-protocol'] ?? ''),
  };
}

function writeCgiHead(response: ServerResponse, head: string): void {
  const lines = head.split('\r\n').map((line) => line.split(/:\s*/u, 2));
  const status = lines.find(([name]) => name?.toLowerCase() === 'status')?.[1];
  response.statusCode = Number.parseInt(status ?? '200', 10);
  for (const [name = '', value = ''] of lines) {
    if (name !== '' && name.toLowerCase() !== 'status') response.setHeader(name, value);
  }
}

/** Answers one request below `/git/` from the repositories in a folder. */
export async function serveGit(
  projectRoot: string,
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
): Promise<void> {
  const child = spawn('git', ['http-backend'], {
    env: cgiVariables(projectRoot, request, url),
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const isAnswered = pipeline(
    child.stdout,
    async function* body(output: AsyncIterable<Buffer>) {
      let head: Buffer | undefined = Buffer.alloc(0);
      for await (const chunk of output) {
        if (head === undefined) {
          yield chunk;
          continue;
        }
        head = Buffer.concat([head, chunk]);
        const end = head.indexOf('\r\n\r\n');
        if (end === -1) continue;
        writeCgiHead(response, head.toString('latin1', 0, end));
        yield head.subarray(end + 4);
        head = undefined;
      }
    },
    response,
  );
  const isRead = pipeline(request, child.stdin).catch(() => {
    // The program may answer before it has read everything; what counts is the answer.
  });
  await Promise.all([isAnswered, isRead]);
}
