// Our sessions on real sockets against node:http2, in both roles.
import { once } from 'node:events';
import http2 from 'node:http2';
import type { Socket } from 'node:net';
import net from 'node:net';

import { afterEach, describe, expect, test } from 'vitest';

import { h2Code } from '../../src/h2/error-codes.ts';
import type { SessionListener, StreamListener } from '../../src/h2/session-types.ts';
import type { H2Session } from '../../src/h2/session.ts';
import type { H2Stream } from '../../src/h2/stream.ts';
import { optionsOf } from './session-case.ts';
import { driveSession } from './socket-pump.ts';
import { get, post } from './wire-frames.ts';

const megabyte = Buffer.alloc(1_048_576, 'abcdefghijklmnop');
const closers: (() => void)[] = [];
const nothing = (): void => undefined;

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

function silentListener(outputReady: () => void, changes: Partial<SessionListener> = {}): SessionListener {
  return {
    request: nothing,
    headTooLarge: nothing,
    settings: nothing,
    goaway: nothing,
    failed: nothing,
    outputReady,
    ...changes,
  };
}

interface Answer {
  readonly status: number;
  readonly body: Buffer;
  readonly trailers: readonly string[];
  readonly resetCode: number | undefined;
}

/** Sends one exchange and gathers its answer. */
function ask(
  session: H2Session,
  fields: readonly string[],
  body?: Buffer,
  trailers?: readonly string[],
): Promise<Answer> {
  return new Promise((resolve) => {
    const pieces: Buffer[] = [];
    let status = 0;
    const finish = (more: Partial<Answer>): void => {
      resolve({ status, body: Buffer.concat(pieces), trailers: [], resetCode: undefined, ...more });
    };
    const listener: StreamListener = {
      informational: () => undefined,
      responseTooLarge: () => finish({}),
      response: (head, isEnded) => {
        status = head.status;
        if (isEnded) finish({});
      },
      data: (view, isEnded) => {
        pieces.push(Buffer.from(view));
        stream.consume(view.length);
        if (isEnded) finish({});
      },
      trailers: (list) => finish({ trailers: list }),
      reset: (resetCode) => finish({ resetCode }),
      writable: () => undefined,
    };
    const stream = session.openStream(listener);
    stream.sendHead(fields, body === undefined);
    if (body === undefined) return;
    stream.sendData(body);
    stream.sendEnd(trailers);
  });
}

// Unlike once(), which a reset makes fail.
async function closeOf(stream: http2.Http2Stream): Promise<void> {
  await new Promise<void>((resolve) => {
    stream.once('close', () => resolve());
  });
}

async function bodyOf(stream: http2.ClientHttp2Stream): Promise<Buffer> {
  const pieces: Buffer[] = [];
  stream.on('data', (piece: Buffer) => pieces.push(piece));
  await once(stream, 'end');
  return Buffer.concat(pieces);
}

function responseOf(stream: http2.ClientHttp2Stream): Promise<http2.IncomingHttpHeaders> {
  return new Promise((resolve) => {
    stream.once('response', resolve);
  });
}

function trailersOf(stream: http2.ClientHttp2Stream): Promise<http2.IncomingHttpHeaders> {
  return new Promise((resolve) => {
    stream.once('trailers', resolve);
  });
}

function portOf(listening: net.Server): number {
  const address = listening.address();
  if (address === null || typeof address === 'string') throw new TypeError('the server listens on no port');
  return address.port;
}

function listen(stream: H2Stream, more: Partial<StreamListener>): void {
  stream.listener = {
    informational: nothing,
    response: nothing,
    responseTooLarge: nothing,
    data: nothing,
    trailers: nothing,
    reset: nothing,
    writable: nothing,
    ...more,
  };
}

async function dial(
  handler: (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void,
): Promise<H2Session> {
  const origin = http2.createServer();
  origin.on('stream', handler);
  origin.listen(0, '127.0.0.1');
  await once(origin, 'listening');
  const socket = net.connect(portOf(origin), '127.0.0.1');
  closers.push(() => {
    socket.destroy();
    origin.close();
  });
  await once(socket, 'connect');
  return driveSession(socket, optionsOf('client'), (pump) => silentListener(pump));
}

async function serve(
  request: SessionListener['request'],
  changes?: Parameters<typeof optionsOf>[1],
): Promise<http2.ClientHttp2Session> {
  const sockets = new Set<Socket>();
  const ours = net.createServer((socket) => {
    sockets.add(socket);
    driveSession(socket, optionsOf('server', changes), (pump) => silentListener(pump, { request }));
  });
  ours.listen(0, '127.0.0.1');
  await once(ours, 'listening');
  const client = http2.connect(`http://127.0.0.1:${portOf(ours)}`);
  closers.push(() => {
    client.destroy();
    for (const socket of sockets) socket.destroy();
    ours.close();
  });
  await once(client, 'connect');
  return client;
}

describe('our client, a server of node:http2', () => {
  test('GET', async () => {
    const session = await dial((stream) => {
      stream.respond({ ':status': 203, 'x-a': '1' });
      stream.end('hello');
    });
    expect(await ask(session, get)).toMatchObject({ status: 203, body: Buffer.from('hello') });
  });

  test('POST of 1 MiB both ways, with trailers both ways', async () => {
    const session = await dial((stream) => {
      stream.on('trailers', (fields: http2.IncomingHttpHeaders) => {
        stream.once('wantTrailers', () => stream.sendTrailers({ 'x-seen': String(fields['x-sent']) }));
      });
      stream.respond({ ':status': 200 }, { waitForTrailers: true });
      stream.pipe(stream);
    });
    const answer = await ask(session, post, megabyte, ['x-sent', 'yes']);
    expect(answer.body.equals(megabyte)).toBe(true);
    expect(answer.trailers).toEqual(['x-seen', 'yes']);
    expect(session.openCount).toBe(0);
  });

  test('a reset brings its code', async () => {
    const session = await dial((stream) => {
      stream.on('error', () => undefined);
      stream.close(h2Code.http11Required);
    });
    expect(await ask(session, post, megabyte)).toMatchObject({ resetCode: h2Code.http11Required });
    expect(session.isOver).toBe(false);
  });

  test('100 streams at once', async () => {
    const session = await dial((stream, headers) => {
      stream.respond({ ':status': 200 });
      stream.end(`answer to ${headers[':path']}`);
    });
    const paths = Array.from({ length: 100 }, (_, index) => `/${index}`);
    const answers = await Promise.all(paths.map((path) => ask(session, [...get.slice(0, 6), ':path', path])));
    expect(answers.map((answer) => answer.body.toString())).toEqual(paths.map((path) => `answer to ${path}`));
  });
});

describe('our server, a client of node:http2', () => {
  test('GET', async () => {
    const client = await serve((stream, head) => {
      stream.sendHead([':status', '203', 'x-path', head.path], false);
      stream.sendData(Buffer.from('hello'));
      stream.sendEnd();
    });
    const request = client.request({ ':path': '/here' });
    const headers = await responseOf(request);
    expect([headers[':status'], headers['x-path']]).toEqual([203, '/here']);
    expect((await bodyOf(request)).toString()).toBe('hello');
  });

  test('POST of 1 MiB both ways, with trailers both ways', async () => {
    const client = await serve((stream) => {
      let heldBytes = 0;
      listen(stream, {
        data: (view) => {
          heldBytes += view.length;
          if (!stream.sendData(view)) return;
          stream.consume(heldBytes);
          heldBytes = 0;
        },
        trailers: (fields) => stream.sendEnd(['x-seen', fields[1] ?? '']),
        writable: () => {
          stream.consume(heldBytes);
          heldBytes = 0;
        },
      });
      stream.sendHead([':status', '200'], false);
    });
    const request = client.request({ ':method': 'POST' }, { waitForTrailers: true });
    request.on('wantTrailers', () => request.sendTrailers({ 'x-sent': 'yes' }));
    const trailers = trailersOf(request);
    request.end(megabyte);
    expect((await bodyOf(request)).equals(megabyte)).toBe(true);
    expect((await trailers)['x-seen']).toBe('yes');
  });

  test('codes of resets both ways', async () => {
    const told: number[] = [];
    const client = await serve((stream, head) => {
      listen(stream, { reset: (code) => told.push(code) });
      if (head.path === '/ours') stream.reset(h2Code.enhanceYourCalm);
      else stream.sendHead([':status', '200'], false);
    });
    const ours = client.request({ ':path': '/ours' });
    ours.on('error', () => undefined);
    await closeOf(ours);
    expect(ours.rstCode).toBe(h2Code.enhanceYourCalm);
    const theirs = client.request({ ':path': '/theirs' });
    await once(theirs, 'response');
    theirs.close(h2Code.cancel);
    await closeOf(theirs);
    await new Promise((resolve) => {
      client.ping(resolve);
    });
    expect(told).toEqual([h2Code.cancel]);
  });

  test('100 streams at once', async () => {
    const client = await serve((stream, head) => {
      stream.sendHead([':status', '200'], false);
      stream.sendData(Buffer.from(`answer to ${head.path}`));
      stream.sendEnd();
    });
    const paths = Array.from({ length: 100 }, (_, index) => `/${index}`);
    const bodies = await Promise.all(paths.map((path) => bodyOf(client.request({ ':path': path }))));
    expect(bodies.map(String)).toEqual(paths.map((path) => `answer to ${path}`));
  });

  test('1xx goes before the response', async () => {
    const client = await serve((stream) => {
      stream.sendHead([':status', '103', 'link', '</a>'], false);
      stream.sendHead([':status', '204'], true);
    });
    const request = client.request();
    const seen: number[] = [];
    request.on('headers', (fields: http2.IncomingHttpHeaders) => seen.push(Number(fields[':status'])));
    const headers = await responseOf(request);
    expect([...seen, headers[':status']]).toEqual([103, 204]);
  });
});
