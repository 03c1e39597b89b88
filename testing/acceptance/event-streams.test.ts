// Bodies that stream are seen while they pass: each frame reaches the client and the handler before the origin says the next one, whatever
// carries it. The origin waits until both have it, so that no clock decides.
import { once } from 'node:events';
import type { ServerHttp2Stream } from 'node:http2';
import { constants, crc32, createGzip, createZstdCompress } from 'node:zlib';

import type { EmitFrame, FrameParser, InterceptHandler, RawResponse, StreamChunk } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { httpsThroughProxy } from '../lab/clients.ts';
import { http2ThroughProxy, startHttp2Origin } from '../lab/http2-peers.ts';
import { type OriginHandler, startHttpsOrigin } from '../lab/origins.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';
import { streamThroughProxy } from '../lab/streaming-client.ts';

const patience = { timeout: 10_000 };
const sse = { 'content-type': 'text/event-stream' };

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

/** A handler that reads bodies and keeps chunks. */
function watcher() {
  const chunks: StreamChunk[] = [];
  const responses: RawResponse[] = [];
  const handler: InterceptHandler = {
    onResponse: (response) => void responses.push(response),
    onStreamChunk: (chunk) => void chunks.push(chunk),
  };
  const texts = (direction?: StreamChunk['direction']): string[] =>
    chunks
      .filter((chunk) => direction === undefined || chunk.direction === direction)
      .map(({ payload }) => Buffer.from(payload).toString());
  return { chunks, responses, handler, texts };
}

/** Lets the origin go on step by step. */
class Steps {
  readonly #waiting: (() => void)[] = [];
  #given = 0;

  next(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#given > 0) {
        this.#given -= 1;
        resolve();
      } else this.#waiting.push(resolve);
    });
  }

  give(): void {
    const go = this.#waiting.shift();
    if (go === undefined) this.#given += 1;
    else go();
  }
}

const events = ['data: one\n\n', 'data: two\n\n', 'data: three\n\n'];

async function finish(proxy: LabProxy): Promise<void> {
  await expect.poll(() => proxy.handle.metrics().activeFlows, patience).toBe(0);
  await proxy.finish();
}

/** Writes each event when the test says so. */
function stepwise(steps: Steps, coding: 'identity' | 'gzip' | 'zstd'): OriginHandler {
  return async (_seen, response) => {
    if (coding === 'identity') {
      response.writeHead(200, sse).flushHeaders();
      for (const event of events) {
        await steps.next();
        response.write(event);
      }
      response.end();
      return;
    }
    response.writeHead(200, { ...sse, 'content-encoding': coding }).flushHeaders();
    const coder = coding === 'gzip' ? createGzip() : createZstdCompress();
    coder.pipe(response);
    for (const event of events) {
      await steps.next();
      coder.write(event);
      coder.flush(coding === 'gzip' ? constants.Z_SYNC_FLUSH : constants.ZSTD_e_flush);
    }
    coder.end();
  };
}

describe('server-sent events: each is at the client and at the handler before the origin sends the next', () => {
  test.each(['identity', 'gzip', 'zstd'] as const)('over HTTP/1.1 in chunks, %s', async (coding) => {
    const seen = watcher();
    const steps = new Steps();
    await using origin = await startHttpsOrigin({ authority, handler: stepwise(steps, coding) });
    await using proxy = await startProxy({ trusts: authority, handler: seen.handler });
    await using client = await streamThroughProxy(proxy, origin.url, {
      headers: { 'accept-encoding': coding },
    });
    expect(client.headers['content-encoding']).toBe(coding === 'identity' ? undefined : coding);
    let text = '';
    for (const event of events) {
      steps.give();
      text += event;
      await expect.poll(() => client.text(), patience).toBe(text);
      await expect.poll(() => seen.texts().length, patience).toBe(text.split('\n\n').length - 1);
    }
    await client.ended;
    await finish(proxy);
    expect(seen.texts()).toEqual(['one', 'two', 'three']);
    expect(seen.chunks.map(({ sequence, frameKind }) => [sequence, frameKind])).toEqual([
      [0, 'sse_data'],
      [1, 'sse_data'],
      [2, 'sse_data'],
    ]);
    expect(seen.responses).toMatchObject([{ status: 200, streaming: true, body: Buffer.alloc(0) }]);
    const told = proxy.events.ofFlow(2).filter(({ kind }) => kind === 'sse_event');
    expect(told).toMatchObject([{ sequenceNo: 1, data: 'one' }, { data: 'two' }, { sequenceNo: 3 }]);
  });

  test('over HTTP/2', async () => {
    const seen = watcher();
    const steps = new Steps();
    const onStream = async (stream: ServerHttp2Stream): Promise<void> => {
      stream.respond({ ':status': 200, ...sse });
      for (const event of events) {
        await steps.next();
        stream.write(event);
      }
      stream.end();
    };
    await using origin = await startHttp2Origin({ authority, onStream: (stream) => void onStream(stream) });
    await using proxy = await startProxy({ trusts: authority, handler: seen.handler });
    await using client = await http2ThroughProxy({ ...proxy.forClients, authority: origin.authority });
    const stream = client.request({ ':path': '/' });
    let received = '';
    stream.on('data', (piece: Buffer) => {
      received += piece.toString();
    });
    const closed = once(stream, 'close');
    let text = '';
    for (const [index, event] of events.entries()) {
      steps.give();
      text += event;
      await expect.poll(() => received, patience).toBe(text);
      await expect.poll(() => seen.texts().length, patience).toBe(index + 1);
    }
    await closed;
    await client[Symbol.asyncDispose]();
    await finish(proxy);
    expect(seen.texts()).toEqual(['one', 'two', 'three']);
    expect(seen.responses).toMatchObject([{ streaming: true }]);
  });
});

/** One message of `application/vnd.amazon.eventstream`, without headers. */
function awsMessage(payload: string): Buffer {
  const body = Buffer.from(payload);
  const message = Buffer.alloc(16 + body.length);
  message.writeUInt32BE(message.length, 0);
  message.writeUInt32BE(crc32(message.subarray(0, 8)), 8);
  body.copy(message, 12);
  message.writeUInt32BE(crc32(message.subarray(0, -4)), message.length - 4);
  return message;
}

/** One message of gRPC, or of a Connect stream. */
function enveloped(payload: string, flags = 0): Buffer {
  const message = Buffer.alloc(5 + payload.length);
  message[0] = flags;
  message.writeUInt32BE(payload.length, 1);
  message.write(payload, 5);
  return message;
}

/** Sends each piece back, and a status in the end. */
function echoGrpc(stream: ServerHttp2Stream): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.on('data', (piece: Buffer) => stream.write(piece));
  stream.on('end', () => stream.end());
}

describe('other streams are shown frame by frame, each as soon as it is there', () => {
  const rows: readonly [string, string, readonly (string | Buffer)[], string, readonly string[]][] = [
    [
      'NDJSON',
      'application/x-ndjson',
      ['{"a":1}\n', '{"a":2}\r\n', '{"a":3}'],
      'ndjson_line',
      ['{"a":1}', '{"a":2}', '{"a":3}'],
    ],
    ['JSON lines', 'application/jsonl; charset=utf-8', ['1\n', '2\n'], 'ndjson_line', ['1', '2']],
    [
      'AWS event streams',
      'application/vnd.amazon.eventstream',
      [awsMessage('one'), awsMessage('two')],
      'event_stream_message',
      ['one', 'two'],
    ],
    [
      'Connect streams',
      'application/connect+json',
      [enveloped('{"n":1}'), enveloped('{}', 2)],
      'grpc_message',
      ['{"n":1}', '{}'],
    ],
  ];
  test.each(rows)('%s', async (_name, contentType, pieces, kind, expected) => {
    const seen = watcher();
    const steps = new Steps();
    const handler: OriginHandler = async (_seen, response) => {
      response.writeHead(200, { 'content-type': contentType }).flushHeaders();
      for (const piece of pieces) {
        await steps.next();
        response.write(piece);
      }
      response.end();
    };
    await using origin = await startHttpsOrigin({ authority, handler });
    await using proxy = await startProxy({ trusts: authority, handler: seen.handler });
    await using client = await streamThroughProxy(proxy, origin.url);
    for (const [index, piece] of pieces.entries()) {
      steps.give();
      // A line without its end is shown when the body ends, so that the last step waits for nothing.
      const shown = Buffer.isBuffer(piece) || piece.endsWith('\n') ? index + 1 : index;
      await expect.poll(() => seen.texts().length, patience).toBeGreaterThanOrEqual(shown);
    }
    await client.ended;
    expect(client.bytes()).toEqual(Buffer.concat(pieces.map((piece) => Buffer.from(piece))));
    await finish(proxy);
    expect(seen.texts()).toEqual(expected);
    expect(new Set(seen.chunks.map(({ frameKind }) => frameKind))).toEqual(new Set([kind]));
  });

  test('gRPC in both directions, while both go on', async () => {
    const seen = watcher();
    await using origin = await startHttp2Origin({ authority, onStream: echoGrpc });
    await using proxy = await startProxy({ trusts: authority, handler: seen.handler });
    await using client = await http2ThroughProxy({ ...proxy.forClients, authority: origin.authority });
    const fields = {
      ':method': 'POST',
      ':path': '/a.B/C',
      'content-type': 'application/grpc',
      te: 'trailers',
    };
    const stream = client.request(fields, { endStream: false });
    stream.resume();
    const closed = once(stream, 'close');
    for (const word of ['one', 'two']) {
      stream.write(enveloped(word));
      await expect.poll(() => seen.texts().filter((text) => text === word).length, patience).toBe(2);
    }
    stream.end();
    await closed;
    await client[Symbol.asyncDispose]();
    await finish(proxy);
    expect([seen.texts('client_to_server'), seen.texts('server_to_client')]).toEqual([
      ['one', 'two'],
      ['one', 'two'],
    ]);
    expect(seen.chunks.map(({ sequence }) => sequence)).toEqual([0, 1, 2, 3]);
    const ended = proxy.events.ofFlow(2).find(({ kind }) => kind === 'grpc_response_trailers');
    expect(ended).toMatchObject({ grpcStatus: '0' });
  });
});

const quads: OriginHandler = (_seen, response) => {
  response.writeHead(200, { 'content-type': 'application/x-quads' });
  response.write('aaaab');
  response.end('bbbcc');
};

describe("a framer of the user's own", () => {
  /** Records of four bytes. */
  class Quads implements FrameParser {
    readonly kind = 'ndjson_line';
    #held = Buffer.alloc(0);

    push(chunk: Uint8Array, emit: EmitFrame): void {
      this.#held = Buffer.concat([this.#held, chunk]);
      while (this.#held.length >= 4) {
        emit(this.#held.subarray(0, 4), { kind: this.kind, isPartial: false });
        this.#held = this.#held.subarray(4);
      }
    }

    end(): void {
      if (this.#held.length > 0) throw new Error('a record was cut');
    }
  }

  test('cuts what it was registered for; what it throws is an event, and the client has every byte', async () => {
    const seen = watcher();
    await using origin = await startHttpsOrigin({ authority, handler: quads });
    const framers = { 'application/x-quads': () => new Quads() };
    await using proxy = await startProxy({ trusts: authority, handler: seen.handler, framers });
    const ask = { ...proxy.forClients, url: `${origin.url}/` };
    expect((await httpsThroughProxy(ask)).body.toString()).toBe('aaaabbbbcc');
    await finish(proxy);
    expect(seen.texts()).toEqual(['aaaa', 'bbbb']);
    expect(proxy.events.events().filter(({ kind }) => kind === 'decoder_failed')).toMatchObject([
      { decoderErrorCode: 'framer_failed', direction: 'server_to_client' },
    ]);
  });

  test('may leave a body uncut, which is then read as a whole', async () => {
    const seen = watcher();
    await using origin = await startHttpsOrigin({ authority, handler: quads });
    const framers = { 'application/x-quads': () => undefined };
    await using proxy = await startProxy({ trusts: authority, handler: seen.handler, framers });
    const ask = { ...proxy.forClients, url: `${origin.url}/` };
    await httpsThroughProxy(ask);
    await finish(proxy);
    expect([seen.chunks.length, seen.responses.map(({ body }) => Buffer.from(body).toString())]).toEqual([
      0,
      ['aaaabbbbcc'],
    ]);
  });

  test('whose factory throws leaves the body uncut, and breaks nothing', async () => {
    const seen = watcher();
    await using origin = await startHttpsOrigin({ authority, handler: quads });
    const framers = {
      'application/x-quads': () => {
        throw new Error('no parser today');
      },
    };
    await using proxy = await startProxy({ trusts: authority, handler: seen.handler, framers });
    const ask = { ...proxy.forClients, url: `${origin.url}/` };
    expect((await httpsThroughProxy(ask)).body.toString()).toBe('aaaabbbbcc');
    await finish(proxy);
    expect(seen.chunks).toEqual([]);
  });
});
