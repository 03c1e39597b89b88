// The origins behind the chaos: HTTP/1 with WebSockets, HTTP/2, and bytes. What they answer follows from the request alone, so that
// a client can tell right from wrong, and they notice themselves when a request that was cut short looks whole.
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { createServer as createTcpServer } from 'node:net';

import { type WebSocket, WebSocketServer } from 'ws';

import { listen } from '../lab/listening.ts';
import { seededRandom } from '../lab/split.ts';

const noiseBytes = 1_048_576;
const noise = ((): Buffer => {
  const random = seededRandom(7);
  const bytes = Buffer.alloc(noiseBytes);
  for (let index = 0; index < noiseBytes; index += 4) bytes.writeUInt32LE(random() * 2 ** 32, index);
  return bytes;
})();

/** The body that everybody agrees on. */
export function bodyOf(offset: number, byteCount: number): Buffer {
  return noise.subarray(offset % (noiseBytes / 2), (offset % (noiseBytes / 2)) + byteCount);
}

export function sumOf(body: Uint8Array): string {
  return createHash('sha1').update(body).digest('hex');
}

export const answerKinds = ['length', 'chunked', 'close', 'sse'] as const;
type AnswerKind = (typeof answerKinds)[number];

/** What a client asks for, in its path. */
export interface Wish {
  readonly kind: AnswerKind;
  readonly offset: number;
  readonly byteCount: number;
  readonly pieceCount: number;
  readonly gapMs: number;
}

export function pathOf(wish: Wish): string {
  return `/${wish.kind}/${wish.offset}/${wish.byteCount}/${wish.pieceCount}/${wish.gapMs}`;
}

function wishOf(path: string): Wish | undefined {
  const [, kindText, ...rest] = path.split('/');
  const kind = answerKinds.find((known) => known === kindText);
  const [offset = Number.NaN, byteCount = 0, pieceCount = 1, gapMs = 0] = rest.map(Number);
  return kind === undefined || Number.isNaN(offset)
    ? undefined
    : { kind, offset, byteCount, pieceCount, gapMs };
}

/** The whole answer to a wish. */
export function answerTo(wish: Wish): Buffer {
  const body = bodyOf(wish.offset, wish.byteCount);
  return wish.kind === 'sse' ? Buffer.from(piecesOf(wish).join('')) : body;
}

function piecesOf(wish: Wish): readonly (Buffer | string)[] {
  const body = bodyOf(wish.offset, wish.byteCount);
  const size = Math.max(1, Math.ceil(wish.byteCount / wish.pieceCount));
  const pieces: (Buffer | string)[] = [];
  for (let start = 0; start < body.length; start += size) {
    const piece = body.subarray(start, start + size);
    pieces.push(wish.kind === 'sse' ? `data: ${piece.toString('hex')}\n\n` : piece);
  }
  return pieces;
}

/** What was wrong about a request that looked whole, by its seed. */
export type Complaint = (seed: string, text: string) => void;

export interface ChaosOrigin extends AsyncDisposable {
  readonly http1Port: number;
  readonly http2Port: number;
  readonly tcpPort: number;
}

interface Answering {
  begin(status: number, headers: Readonly<Record<string, string | number>>): void;
  write(piece: Buffer | string): void;
  end(): void;
  readonly isGone: () => boolean;
}

async function answer(wish: Wish, to: Answering): Promise<void> {
  const headers: Record<string, string | number> = { 'x-origin': 'chaos' };
  if (wish.kind === 'length') headers['content-length'] = wish.byteCount;
  headers['content-type'] = wish.kind === 'sse' ? 'text/event-stream' : 'application/octet-stream';
  to.begin(200, headers);
  for (const piece of piecesOf(wish)) {
    if (to.isGone()) return;
    to.write(piece);
    if (wish.gapMs > 0) await new Promise((resolve) => setTimeout(resolve, wish.gapMs));
  }
  if (!to.isGone()) to.end();
}

function serveHttp1(request: IncomingMessage, response: ServerResponse, complain: Complaint): void {
  const hash = createHash('sha1');
  request.on('error', () => {});
  response.on('error', () => {});
  request.on('data', (chunk: Buffer) => hash.update(chunk));
  request.on('end', () => {
    const { 'x-sum': sum, 'x-seed': seed } = request.headers;
    if (request.complete && hash.digest('hex') !== sum && typeof seed === 'string')
      complain(seed, `a request to ${request.url} looked whole and was not`);
    const wish = wishOf(request.url ?? '');
    if (wish === undefined) {
      response.writeHead(404).end();
      return;
    }
    if (wish.kind === 'close') response.shouldKeepAlive = false;
    if (wish.kind === 'close') response.useChunkedEncodingByDefault = false;
    void answer(wish, {
      begin: (status, headers) => response.writeHead(status, headers),
      write: (piece) => response.write(piece),
      end: () => response.end(),
      isGone: () => response.destroyed,
    });
  });
}

function serveHttp2(stream: ServerHttp2Stream, path: string, contentType: string): void {
  stream.on('error', () => {});
  if (stream.destroyed) return;
  if (contentType === 'application/grpc') {
    stream.respond({ ':status': 200, 'content-type': contentType }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.pipe(stream);
    return;
  }
  stream.resume();
  stream.on('end', () => {
    const wish = wishOf(path);
    if (stream.destroyed || stream.closed) return;
    if (wish === undefined) {
      stream.respond({ ':status': 404 }, { endStream: true });
      return;
    }
    void answer(wish, {
      begin: (status, headers) => stream.respond({ ':status': status, ...headers }),
      write: (piece) => stream.write(piece),
      end: () => stream.end(),
      isGone: () => stream.destroyed || stream.closed,
    });
  });
}

function startHttp2(): Http2Server {
  const guard = { streamResetBurst: 1_000_000, streamResetRate: 1_000_000 };
  const server = createHttp2Server({ ...guard, settings: { enableConnectProtocol: true } });
  server.on('session', (session) => session.on('error', () => {}));
  server.on('sessionError', () => {});
  server.on('stream', (stream, headers) =>
    serveHttp2(stream, headers[':path'] ?? '', headers['content-type'] ?? ''),
  );
  return server;
}

/** Starts them all. @param complain told what a client can't see */
export async function startChaosOrigin(complain: Complaint): Promise<ChaosOrigin> {
  const http1 = createServer((request, response) => serveHttp1(request, response, complain));
  http1.on('clientError', (_error, socket) => socket.destroy());
  http1.keepAliveTimeout = 30_000;
  const webSockets = new WebSocketServer({ server: http1, perMessageDeflate: false });
  webSockets.on('connection', (socket: WebSocket) => {
    socket.on('error', () => {});
    socket.on('message', (data: Buffer, isBinary: boolean) => socket.send(data, { binary: isBinary }));
  });
  const tcp = createTcpServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  const [one, two, three] = [await listen(http1), await listen(startHttp2()), await listen(tcp)];
  return {
    http1Port: one.port,
    http2Port: two.port,
    tcpPort: three.port,
    [Symbol.asyncDispose]: async () => {
      for (const client of webSockets.clients) client.terminate();
      for (const listening of [one, two, three]) await listening[Symbol.asyncDispose]();
    },
  };
}
