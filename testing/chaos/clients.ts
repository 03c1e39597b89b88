// What the clients in the chaos do, and how they judge what comes back: an exchange may break, but whatever looks whole must be right.
import { Agent, type IncomingMessage, request as httpRequest } from 'node:http';
import { connect as connectHttp2, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { connect } from 'node:net';

import { WebSocket } from 'ws';

import { answerKinds, answerTo, bodyOf, pathOf, sumOf, type Wish } from './origin.ts';
import type { Random } from './random.ts';

/** How one exchange ended for its client. `refused` is a whole answer that is not the origin's. */
export type Outcome = 'complete' | 'refused' | 'broken' | 'wrong';

interface ClientOptions {
  readonly port: number;
  readonly random: Random;
  readonly seed: number;
  /** In plain proxy requests: `http://host:port`, in front of each path. */
  readonly prefix: string;
  readonly host: string;
  /** After this time a client leaves, whatever it has got. */
  readonly patienceMs: number;
  /** Of a hundred exchanges, so many are given up on purpose. */
  readonly abandonPercent: number;
  /** What is wrong is told here. */
  readonly complain: (text: string) => void;
}

export type Client = (options: ClientOptions) => Promise<readonly Outcome[]>;

function wishFrom(random: Random, isStream: boolean): Wish {
  const byteCount = random.magnitude(isStream ? 4_000 : 60_000);
  return {
    kind: isStream ? 'sse' : random.pick(answerKinds.slice(0, 3)),
    offset: random.below(100_000),
    byteCount,
    pieceCount: 1 + random.below(6),
    gapMs: random.percent(30) ? 1 + random.below(10) : 0,
  };
}

/** Compares what came with what should have. */
function judge(
  got: Buffer,
  expected: Buffer,
  seemsWhole: boolean,
  complain: (text: string) => void,
  what: string,
): Outcome {
  if (!expected.subarray(0, got.length).equals(got) || got.length > expected.length) {
    complain(`${what}: ${got.length} of ${expected.length} bytes, and not the right ones`);
    return 'wrong';
  }
  if (got.length === expected.length && seemsWhole) return 'complete';
  if (seemsWhole) {
    complain(`${what}: looks whole with ${got.length} of ${expected.length} bytes`);
    return 'wrong';
  }
  return 'broken';
}

/** Begins like nothing that is known. */
const noProtocol = Buffer.from([0, 1, 2, 3]);

interface Http1Order {
  readonly wish: Wish;
  readonly body: Buffer;
  readonly isChunked: boolean;
  readonly abandonAfterMs: number | undefined;
}

function orderFrom(options: ClientOptions, isStream: boolean): Http1Order {
  const { random } = options;
  const hasBody = random.percent(60);
  return {
    wish: wishFrom(random, isStream),
    body: hasBody ? bodyOf(random.below(1_000), random.magnitude(40_000)) : Buffer.alloc(0),
    isChunked: random.percent(40),
    abandonAfterMs: random.percent(options.abandonPercent) ? random.below(30) : undefined,
  };
}

function askHttp1(agent: Agent, order: Http1Order, options: ClientOptions): Promise<Outcome> {
  const { wish, body } = order;
  const path = pathOf(wish);
  return new Promise((resolve) => {
    const headers: Record<string, string | number> = {
      host: options.host,
      'x-sum': sumOf(body),
      'x-seed': String(options.seed),
    };
    if (body.length > 0 && order.isChunked) headers['transfer-encoding'] = 'chunked';
    else if (body.length > 0) headers['content-length'] = body.length;
    const request = httpRequest({
      agent,
      host: '127.0.0.1',
      port: options.port,
      method: body.length > 0 ? 'POST' : 'GET',
      path: `${options.prefix}${path}`,
      headers,
    });
    const timer = setTimeout(() => request.destroy(), order.abandonAfterMs ?? options.patienceMs);
    const settle = (outcome: Outcome): void => {
      clearTimeout(timer);
      resolve(outcome);
    };
    let hasAnswer = false;
    request.on('error', () => {
      if (!hasAnswer) settle('broken');
    });
    request.on('response', (response: IncomingMessage) => {
      hasAnswer = true;
      const pieces: Buffer[] = [];
      response.on('error', () => {});
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('close', () => {
        if (response.headers['x-origin'] !== 'chaos') return settle(response.complete ? 'refused' : 'broken');
        // What is framed by the end of the connection is as long as it was; an abrupt end is an error.
        const seemsWhole = response.complete && wish.kind !== 'close';
        const got = Buffer.concat(pieces);
        const expected = answerTo(wish);
        if (wish.kind === 'close' && response.complete && got.length === expected.length)
          return settle('complete');
        settle(judge(got, expected, seemsWhole, options.complain, `HTTP/1 ${path}`));
      });
    });
    const half = Math.floor(body.length / 2);
    if (half > 0) request.write(body.subarray(0, half));
    request.end(half > 0 ? body.subarray(half) : body);
  });
}

async function http1(options: ClientOptions, isStream: boolean): Promise<readonly Outcome[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 + options.random.below(3) });
  try {
    const outcomes: Outcome[] = [];
    const rounds = 1 + options.random.below(3);
    for (let round = 0; round < rounds; round += 1) {
      const orders = Array.from({ length: 1 + options.random.below(3) }, () => orderFrom(options, isStream));
      outcomes.push(...(await Promise.all(orders.map((order) => askHttp1(agent, order, options)))));
    }
    return outcomes;
  } finally {
    agent.destroy();
  }
}

function turns(count: number): Promise<void> {
  return new Promise((resolve) => {
    let left = count;
    const next = (): void => {
      left -= 1;
      if (left < 0) resolve();
      else setImmediate(next);
    };
    next();
  });
}

async function bodyOfStream(
  stream: ClientHttp2Stream,
  session: ClientHttp2Session,
): Promise<{ got: Buffer; seemsWhole: boolean; status: number; isOrigins: boolean; grpcStatus: unknown }> {
  const pieces: Buffer[] = [];
  let status = 0;
  let isOrigins = false;
  let hasEnded = false;
  let grpcStatus: unknown;
  stream.on('response', (headers) => {
    status = headers[':status'] ?? 0;
    isOrigins = headers['x-origin'] === 'chaos' || headers['content-type'] === 'application/grpc';
  });
  stream.on('trailers', (headers) => {
    grpcStatus = headers['grpc-status'];
  });
  stream.on('error', () => {});
  stream.on('data', (piece: Buffer) => pieces.push(piece));
  stream.on('end', () => {
    hasEnded = true;
  });
  await new Promise<void>((resolve) => {
    stream.on('close', () => resolve());
  });
  // Node tells a stream that its connection ended as if it were its own end: only one that outlives it knows.
  await turns(5);
  const seemsWhole = hasEnded && stream.rstCode === 0 && !session.closed && !session.destroyed;
  return { got: Buffer.concat(pieces), seemsWhole, status, isOrigins, grpcStatus };
}

/** How long a stream that was given up may take to be over. */
const goodbyeMs = 3_000;

function limitStream(stream: ClientHttp2Stream, options: ClientOptions): NodeJS.Timeout {
  const { random, patienceMs } = options;
  const isGivenUp = random.percent(options.abandonPercent);
  let lastTimer: NodeJS.Timeout | undefined;
  const giveUp = (): void => {
    stream.close(8);
    // Now and then Node's client does not get as far as closing it.
    lastTimer = setTimeout(() => stream.session?.destroy(), goodbyeMs);
  };
  const timer = setTimeout(giveUp, isGivenUp ? random.below(30) : patienceMs);
  stream.once('close', () => {
    clearTimeout(timer);
    clearTimeout(lastTimer);
  });
  return timer;
}

async function askHttp2(
  session: ClientHttp2Session,
  options: ClientOptions,
  isStream: boolean,
): Promise<Outcome> {
  if (session.closed || session.destroyed) return 'broken';
  const { wish, body } = orderFrom(options, isStream);
  const path = pathOf(wish);
  const stream = session.request(
    {
      ':method': body.length > 0 ? 'POST' : 'GET',
      ':path': path,
      ':scheme': options.prefix === '' ? 'https' : 'http',
      ':authority': options.host,
      'x-sum': sumOf(body),
      'x-seed': String(options.seed),
    },
    { endStream: body.length === 0 },
  );
  limitStream(stream, options);
  if (body.length > 0) stream.end(body);
  const { got, seemsWhole, isOrigins } = await bodyOfStream(stream, session);
  if (!isOrigins) return seemsWhole ? 'refused' : 'broken';
  const isJudged = seemsWhole && wish.kind !== 'close';
  const expected = answerTo(wish);
  if (seemsWhole && got.length === expected.length) return 'complete';
  return judge(got, expected, isJudged, options.complain, `HTTP/2 ${path}`);
}

async function askGrpc(session: ClientHttp2Session, options: ClientOptions): Promise<Outcome> {
  if (session.closed || session.destroyed) return 'broken';
  const { random } = options;
  const messages = Array.from({ length: 1 + random.below(4) }, () => grpcMessage(random));
  const stream = session.request({
    ':method': 'POST',
    ':path': '/chaos.v1.Echo/Chat',
    ':scheme': options.prefix === '' ? 'https' : 'http',
    ':authority': options.host,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  limitStream(stream, options);
  for (const message of messages) stream.write(message);
  stream.end();
  const { got, seemsWhole, isOrigins, grpcStatus } = await bodyOfStream(stream, session);
  if (!isOrigins) return seemsWhole ? 'refused' : 'broken';
  const isWhole = seemsWhole && grpcStatus === '0';
  return judge(got, Buffer.concat(messages), isWhole, options.complain, 'gRPC');
}

function grpcMessage(random: Random): Buffer {
  const payload = bodyOf(random.below(1_000), random.magnitude(20_000));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(payload.length, 1);
  return Buffer.concat([head, payload]);
}

async function http2(
  options: ClientOptions,
  ask: (session: ClientHttp2Session) => Promise<Outcome>,
): Promise<readonly Outcome[]> {
  const session = connectHttp2(`http://127.0.0.1:${options.port}`);
  session.on('error', () => {});
  try {
    const outcomes: Outcome[] = [];
    const rounds = 1 + options.random.below(3);
    for (let round = 0; round < rounds; round += 1) {
      const streams = Array.from({ length: 1 + options.random.below(5) }, () => ask(session));
      outcomes.push(...(await Promise.all(streams)));
    }
    return outcomes;
  } finally {
    session.destroy();
  }
}

function webSocket(options: ClientOptions): Promise<readonly Outcome[]> {
  const { random } = options;
  const messages = Array.from({ length: 1 + random.below(6) }, () =>
    bodyOf(random.below(1_000), random.magnitude(20_000)),
  );
  return new Promise((resolve) => {
    const socket = new WebSocket(`ws://127.0.0.1:${options.port}/chat`, {
      perMessageDeflate: false,
      headers: { host: options.host },
    });
    socket.binaryType = 'nodebuffer';
    const outcomes: Outcome[] = [];
    const isGivenUp = random.percent(options.abandonPercent);
    const timer = setTimeout(() => socket.terminate(), isGivenUp ? random.below(30) : options.patienceMs);
    socket.on('error', () => {});
    socket.on('open', () => {
      for (const message of messages) socket.send(message, () => {});
    });
    socket.on('message', (data: Buffer) => {
      const expected = messages[outcomes.length];
      if (expected?.equals(data) !== true)
        options.complain(`WebSocket: message ${outcomes.length} is not the one that was sent`);
      outcomes.push(expected?.equals(data) === true ? 'complete' : 'wrong');
      if (outcomes.length === messages.length) socket.close(1000);
    });
    socket.on('close', () => {
      clearTimeout(timer);
      while (outcomes.length < messages.length) outcomes.push('broken');
      resolve(outcomes);
    });
  });
}

function bytes(options: ClientOptions): Promise<readonly Outcome[]> {
  const { random } = options;
  // What begins like TLS, and is not, would rightly be refused where connections are read.
  const sent = Buffer.concat([noProtocol, bodyOf(random.below(1_000), random.magnitude(200_000))]);
  const isGivenUp = random.percent(options.abandonPercent);
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port: options.port, allowHalfOpen: true });
    const pieces: Buffer[] = [];
    let hasEnded = false;
    const timer = setTimeout(() => socket.destroy(), isGivenUp ? random.below(30) : options.patienceMs);
    socket.on('error', () => {});
    socket.on('data', (piece: Buffer) => pieces.push(piece));
    socket.on('end', () => {
      hasEnded = true;
      socket.end();
    });
    socket.on('close', (hadError) => {
      clearTimeout(timer);
      const got = Buffer.concat(pieces);
      // The end of a byte stream says nothing about its being whole: only its bytes can be wrong.
      const isWhole = hasEnded && !hadError && got.length === sent.length;
      resolve([judge(got, sent, isWhole, options.complain, 'tunnel')]);
    });
    socket.end(sent);
  });
}

/** One client for each protocol that passes through the proxy. */
export const clients = {
  http1: (options) => http1(options, false),
  http1_sse: (options) => http1(options, true),
  http2: (options) => http2(options, (session) => askHttp2(session, options, false)),
  http2_sse: (options) => http2(options, (session) => askHttp2(session, options, true)),
  grpc: (options) => http2(options, (session) => askGrpc(session, options)),
  websocket: webSocket,
  bytes,
} as const satisfies Readonly<Record<string, Client>>;
export type ClientName = keyof typeof clients;
