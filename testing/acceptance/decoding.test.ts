// What a handler is shown of coded bodies and messages: what they say, how that was found, and what could not be undone; the peers have
// every byte as it was sent.
import { brotliCompressSync, gzipSync } from 'node:zlib';

import { compressionAlgorithms } from '@grpc/grpc-js';
import type { InterceptHandler, RawResponse, StreamChunk } from 'soth-mitm';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { httpsThroughProxy } from '../lab/clients.ts';
import {
  connectProtocols,
  dialConnect,
  startConnectOrigin,
  textMessages,
  textsOf,
} from '../lab/connect-peers.ts';
import { GrpcClient, startGrpcOrigin } from '../lab/grpc-peers.ts';
import { askHttp2, http2ThroughProxy, startHttp2Origin } from '../lab/http2-peers.ts';
import { startHttpsOrigin } from '../lab/origins.ts';
import { startProxy } from '../lab/proxy.ts';

const mebibyte = 1024 * 1024;
const patience = { timeout: 10_000 };

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());
afterEach(() => {
  vi.unstubAllEnvs();
});

interface Outcome {
  readonly received: Buffer;
  readonly shown: RawResponse | undefined;
  readonly kinds: readonly string[];
  readonly failures: readonly unknown[];
}

/** One answer with this body, over HTTP/1.1, through a proxy whose handler looks at answers. */
async function pass(body: Buffer, headers: Readonly<Record<string, string>>): Promise<Outcome> {
  let shown: RawResponse | undefined;
  await using origin = await startHttpsOrigin({
    authority,
    handler: (_seen, response) => void response.writeHead(200, headers).end(body),
  });
  await using proxy = await startProxy({
    trusts: authority,
    handler: {
      onResponse: (response) => {
        shown = response;
      },
    },
  });
  const { body: received } = await httpsThroughProxy({
    ...proxy.forClients,
    url: `${origin.url}/`,
    headers: ['Accept-Encoding', 'gzip'],
  });
  await expect.poll(() => proxy.handle.metrics().activeFlows, patience).toBe(0);
  await proxy.finish();
  const events = proxy.events.ofFlow(2);
  return {
    received,
    shown,
    kinds: events.map(({ kind }) => kind),
    failures: events.filter(({ kind }) => kind === 'decoder_failed'),
  };
}

describe('JSON behind a guard against scripts', () => {
  const guarded = `)]}',\n{"user":"a"}`;

  test.each([
    ['as it is', Buffer.from(guarded), {}, ['payload_parse']],
    ['in gzip', gzipSync(guarded), { 'content-encoding': 'gzip' }, ['content_decode', 'payload_parse']],
    [
      'in two codings',
      brotliCompressSync(gzipSync(guarded)),
      { 'content-encoding': 'gzip, br' },
      ['content_decode', 'payload_parse'],
    ],
  ])('DC-07 is shown without it, %s, and the client has it all', async (_how, sent, coding, stages) => {
    const { received, shown, failures } = await pass(sent, { 'content-type': 'application/json', ...coding });
    expect(received.equals(sent)).toBe(true);
    expect(JSON.parse(Buffer.from(shown?.body ?? '').toString())).toEqual({ user: 'a' });
    expect(shown?.decoding?.stages.map(({ stage, status }) => [stage, status])).toEqual(
      stages.map((stage) => [stage, 'applied']),
    );
    expect(shown?.decoding?.attributes).toEqual({
      sanitized: 'true',
      sanitized_prefix: 'xssi_angular_comma_prefix_lf',
      sanitized_provenance: 'anti_hijack_prefix:xssi_angular_comma_prefix_lf',
    });
    expect([shown?.encodingError, failures]).toEqual([false, []]);
  });

  test('is shown without it over HTTP/2', async () => {
    let shown = '';
    await using origin = await startHttp2Origin({
      authority,
      onStream: (stream) => {
        stream.respond({ ':status': 200, 'content-type': 'application/json' });
        stream.end(guarded);
      },
    });
    await using proxy = await startProxy({
      trusts: authority,
      handler: {
        onResponse: ({ body }) => {
          shown = Buffer.from(body).toString();
        },
      },
    });
    await using client = await http2ThroughProxy({ ...proxy.forClients, authority: origin.authority });
    const { body } = await askHttp2(client, { ':path': '/' });
    expect(body.toString()).toBe(guarded);
    await expect.poll(() => shown, patience).toBe('{"user":"a"}');
  });

  test('is left where it is a script', async () => {
    const script = Buffer.from('while(1);window.steal()');
    const { shown } = await pass(script, { 'content-type': 'text/javascript' });
    expect([Buffer.from(shown?.body ?? '').toString(), shown?.decoding]).toEqual([String(script), undefined]);
  });
});

test('a body larger than is wanted is shown as far as that, decoded', async () => {
  const text = Buffer.from(Array.from({ length: 12 * mebibyte }, (_, index) => (index * 7919) % 251));
  const sent = gzipSync(text, { level: 1 });
  const { received, shown, failures } = await pass(sent, { 'content-encoding': 'gzip' });
  expect(received.equals(sent)).toBe(true);
  expect(shown).toMatchObject({ encodingError: false, bodyTruncated: true });
  expect(text.subarray(0, 10 * mebibyte).equals(shown?.body ?? Buffer.alloc(0))).toBe(true);
  expect(failures).toEqual([]);
});

describe('a body whose coding can not be undone', () => {
  test.each([
    ['because nobody knows it', 'lzma', 'unknown_coding'],
    ['because it is something else', 'gzip', 'invalid_coding'],
  ])('%s is shown as it came, with an event before the end of its flow', async (_why, coding, code) => {
    const sent = Buffer.from('neither of them');
    const { received, shown, kinds, failures } = await pass(sent, { 'content-encoding': coding });
    expect(received.equals(sent)).toBe(true);
    expect(shown).toMatchObject({
      encodingError: true,
      decoding: {
        stages: [{ stage: 'content_decode', status: 'failed', failure: { detail: `${code}:${coding}` } }],
      },
    });
    expect(Buffer.from(shown?.body ?? '').equals(sent)).toBe(true);
    expect(failures).toMatchObject([
      { decoder: coding, decoderErrorCode: code, decoderStage: 'content_decode', bytesIn: sent.length },
    ]);
    expect(kinds.slice(-2)).toEqual(['decoder_failed', 'stream_closed']);
  });

  test('because it is a bomb is shown as it came, and told', async () => {
    const bomb = gzipSync(gzipSync(Buffer.alloc(64 * mebibyte)));
    const { received, shown, failures } = await pass(bomb, { 'content-encoding': 'gzip, gzip' });
    expect(received.equals(bomb)).toBe(true);
    expect(shown).toMatchObject({ encodingError: true, bodyTruncated: true });
    expect(failures).toMatchObject([{ decoder: 'gzip', decoderErrorCode: 'ratio_exceeded' }]);
  });
});

/** A handler that keeps messages, and what they say. */
function watcher() {
  const chunks: StreamChunk[] = [];
  const handler: InterceptHandler = { onStreamChunk: (chunk) => void chunks.push(chunk) };
  const of = (direction: StreamChunk['direction']): string[] =>
    chunks
      .filter(
        ({ facts, ...chunk }) =>
          chunk.direction === direction &&
          facts.kind === 'grpc_message' &&
          facts.isCompressed &&
          !facts.isEndOfStream,
      )
      .map(({ payload }) => Buffer.from(payload).toString('latin1'));
  return { chunks, handler, of };
}

const long = 'the same thing, '.repeat(200);

describe('compressed messages are shown as what they say', () => {
  test('of gRPC', async () => {
    const seen = watcher();
    await using origin = await startGrpcOrigin(authority);
    await using proxy = await startProxy({ trusts: authority, handler: seen.handler });
    vi.stubEnv('grpc_proxy', `http://127.0.0.1:${proxy.port}`);
    vi.stubEnv('no_proxy', '');
    vi.stubEnv('no_grpc_proxy', '');
    const client = new GrpcClient(origin.authority, proxy.ca.certificatePem, {
      'grpc.default_compression_algorithm': compressionAlgorithms.gzip,
    });
    const sent = [`1 ${long}`, `2 ${long}`];
    const { messages } = await client.call(
      'chat',
      sent.map((text) => Buffer.from(text)),
    );
    expect(messages.map(String)).toEqual(sent);
    client.close();
    await proxy.finish();
    expect(seen.of('client_to_server')).toEqual(sent);
    const [first] = seen.chunks;
    expect(first?.facts).toMatchObject({ isCompressed: true });
    expect(first?.facts.kind === 'grpc_message' && first.facts.wireBytes).toBeLessThan(200);
    expect(proxy.events.events().filter(({ kind }) => kind === 'decoder_failed')).toEqual([]);
  });

  test.each(connectProtocols)('of a stream of %s, in both directions', async (protocol) => {
    const seen = watcher();
    await using origin = await startConnectOrigin(authority);
    await using proxy = await startProxy({ trusts: authority, handler: seen.handler });
    await using peer = await dialConnect(protocol, {
      ...proxy.forClients,
      authority: origin.authority,
      isCompressing: true,
    });
    const sent = [`1 ${long}`, `2 ${long}`];
    expect(await textsOf(peer.echo.chat(textMessages(...sent)))).toEqual(sent);
    await peer[Symbol.asyncDispose]();
    await proxy.finish();
    for (const direction of ['client_to_server', 'server_to_client'] as const) {
      const shown = seen.of(direction);
      expect(shown).toHaveLength(2);
      // A wrapper of protobuf stands around each text.
      for (const [index, text] of sent.entries()) expect(shown[index]?.endsWith(text)).toBe(true);
    }
    expect(proxy.events.events().filter(({ kind }) => kind === 'decoder_failed')).toEqual([]);
  });
});
