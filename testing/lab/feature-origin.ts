// One origin with every feature of HTTP/1 that real clients are tried with. It keeps no body: what it received is answered as
// length and hash, so that large uploads can be compared at both ends.
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { gzipSync } from 'node:zlib';

import type { LabAuthority } from './certificates.ts';
import { serveGit } from './git-backend.ts';
import { loopbackNames } from './http-origins.ts';
import { type Listening, listen } from './listening.ts';

/** What `/echo` and `/big` answer about the request, as JSON. */
export interface EchoReport {
  readonly method: string;
  readonly length: number;
  readonly sha256: string;
  /** How the body was delimited on the wire. */
  readonly framing: 'none' | 'length' | 'chunked';
  readonly trailers: Readonly<Record<string, string | undefined>>;
}

export interface FeatureOrigin extends Listening {
  readonly url: string;
  /** How often the origin answered `100 Continue`. */
  readonly continueCount: number;
}

/** The text that `/text`, `/range`, `/etag` and `/gzip` are about. */
export const featureText = 'The quick brown fox jumps over the lazy dog. '.repeat(200);
export const featureTag = '"lab-1"';
/** The events of `/sse`, as on the wire. */
export const featureEvents = ['first', 'second', 'third'].map((data) => `data: ${data}\n\n`);

type Route = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

function sendText(response: ServerResponse, status = 200, text = featureText): void {
  response.writeHead(status, { 'Content-Type': 'text/plain', 'Content-Length': text.length }).end(text);
}

async function echo(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const hash = createHash('sha256');
  let length = 0;
  for await (const chunk of request) {
    hash.update(chunk);
    length += Buffer.byteLength(chunk);
  }
  const { headers } = request;
  const framing = headers['transfer-encoding'] === undefined ? 'length' : 'chunked';
  const report: EchoReport = {
    method: request.method ?? '',
    length,
    sha256: hash.digest('hex'),
    framing: framing === 'length' && headers['content-length'] === undefined ? 'none' : framing,
    trailers: { ...request.trailers },
  };
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(report));
}

function range(request: IncomingMessage, response: ServerResponse): void {
  const [, first = '', last = ''] = /^bytes=(\d+)-(\d+)$/u.exec(request.headers.range ?? '') ?? [];
  if (first === '') return sendText(response);
  const part = featureText.slice(Number(first), Number(last) + 1);
  response.setHeader('Content-Range', `bytes ${first}-${last}/${featureText.length}`);
  sendText(response, 206, part);
}

function tagged(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader('ETag', featureTag);
  if (request.headers['if-none-match'] === featureTag) response.writeHead(304).end();
  else sendText(response);
}

function zipped(_request: IncomingMessage, response: ServerResponse): void {
  const body = gzipSync(featureText);
  response.writeHead(200, {
    'Content-Type': 'text/plain',
    'Content-Encoding': 'gzip',
    'Content-Length': body.length,
  });
  response.end(body);
}

function trailed(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { 'Content-Type': 'text/plain', Trailer: 'X-Sum' });
  response.write('a body with ');
  response.addTrailers({ 'X-Sum': 'forty-two' });
  response.end('a trailer');
}

async function events(_request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  for (const event of featureEvents) {
    // Each in a write of its own, and so in a chunk of its own.
    await new Promise<void>((resolve) => {
      response.write(event, () => resolve());
    });
  }
  response.end();
}

const routes: ReadonlyMap<string, Route> = new Map<string, Route>([
  ['/text', (_request, response) => sendText(response)],
  ['/echo', echo],
  ['/big', echo],
  ['/range', range],
  ['/etag', tagged],
  ['/gzip', zipped],
  ['/trailers', trailed],
  ['/sse', events],
]);

export interface FeatureOriginOptions {
  readonly authority: LabAuthority;
  /** A folder of repositories, served below `/git/`. */
  readonly gitRoot?: string;
}

/** Starts it on loopback, with TLS. */
export async function startFeatureOrigin(options: FeatureOriginOptions): Promise<FeatureOrigin> {
  const { authority, gitRoot } = options;
  const { keyPem, certPem } = await authority.issue(loopbackNames);
  const failures: unknown[] = [];
  let continueCount = 0;
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    const url = new URL(request.url ?? '/', 'https://localhost');
    const run = async (): Promise<void> => {
      if (gitRoot !== undefined && url.pathname.startsWith('/git/')) {
        await serveGit(gitRoot, request, response, url);
      } else {
        const route = routes.get(url.pathname);
        if (route === undefined) sendText(response, 404, 'no such path\n');
        else await route(request, response);
      }
    };
    run().catch((error: unknown) => {
      failures.push(error);
      response.destroy();
    });
  };
  const server = createServer({ key: keyPem, cert: certPem, ALPNProtocols: ['http/1.1'] }, serve);
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    continueCount += 1;
    response.writeContinue();
    serve(request, response);
  });
  const listening = await listen(server);
  return {
    port: listening.port,
    url: `https://localhost:${listening.port}`,
    get connectionCount() {
      return listening.connectionCount;
    },
    get openCount() {
      return listening.openCount;
    },
    get continueCount() {
      return continueCount;
    },
    async [Symbol.asyncDispose]() {
      await listening[Symbol.asyncDispose]();
      if (failures.length > 0) throw new AggregateError(failures, 'a route of the origin failed');
    },
  };
}
