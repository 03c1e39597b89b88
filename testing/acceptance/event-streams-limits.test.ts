// What is wrong with a stream, or too much of it, costs the proxy a bounded effort and one event; the client gets every byte as it came.
import type { ServerHttp2Stream } from 'node:http2';
import { gzipSync } from 'node:zlib';

import type { InterceptHandler, MitmConfigInput, StreamChunk } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { httpsThroughProxy } from '../lab/clients.ts';
import { askHttp2, http2ThroughProxy, startHttp2Origin } from '../lab/http2-peers.ts';
import { startHttpsOrigin } from '../lab/origins.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';

const mebibyte = 1024 * 1024;
const patience = { timeout: 10_000 };

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

interface Outcome {
  readonly body: Buffer;
  readonly chunks: readonly StreamChunk[];
  readonly failures: readonly unknown[];
  readonly reason: unknown;
}

/** One answer with this body through a proxy whose handler looks at chunks. */
async function pass(
  body: Buffer,
  headers: Readonly<Record<string, string>>,
  config: Partial<MitmConfigInput> = {},
): Promise<Outcome> {
  const chunks: StreamChunk[] = [];
  const handler: InterceptHandler = { onStreamChunk: (chunk) => void chunks.push(chunk) };
  await using origin = await startHttpsOrigin({
    authority,
    handler: (_seen, response) => void response.writeHead(200, headers).end(body),
  });
  await using proxy = await startProxy({ trusts: authority, handler, config });
  const answer = await httpsThroughProxy({
    ...proxy.forClients,
    url: `${origin.url}/`,
    headers: ['Accept-Encoding', 'gzip'],
  });
  return { body: answer.body, chunks, ...(await ended(proxy)) };
}

async function ended(proxy: LabProxy): Promise<Pick<Outcome, 'failures' | 'reason'>> {
  await expect.poll(() => proxy.handle.metrics().activeFlows, patience).toBe(0);
  await proxy.finish();
  const closed = proxy.events.ofFlow(2).at(-1);
  return {
    failures: proxy.events.events().filter(({ kind }) => kind === 'decoder_failed'),
    reason: closed?.kind === 'stream_closed' ? closed.reasonCode : undefined,
  };
}

const sse = { 'content-type': 'text/event-stream' };

describe('a stream that is too much', () => {
  test('a gzip bomb of events costs the ratio at most, and becomes decoder_failed', async () => {
    const line = `data: ${'0'.repeat(1_000)}\n\n`;
    const bomb = gzipSync(Buffer.alloc(64 * mebibyte, line));
    const { body, chunks, failures, reason } = await pass(bomb, { ...sse, 'content-encoding': 'gzip' });
    expect(body.equals(bomb)).toBe(true);
    const shown = chunks.reduce((sum, { payload }) => sum + payload.length, 0);
    expect(shown).toBeGreaterThan(0);
    expect(shown).toBeLessThanOrEqual(Math.max(mebibyte, 200 * bomb.length));
    expect(failures).toMatchObject([{ decoder: 'gzip', decoderErrorCode: 'ratio_exceeded' }]);
    expect(reason).toBe('mitm_http_completed');
  });

  test('an event beyond body.maxDecoderBytes ends the watching, and those before it stand', async () => {
    const sent = Buffer.from(`data: small\n\ndata: ${'x'.repeat(5_000)}\n\ndata: late\n\n`);
    const { body, chunks, failures, reason } = await pass(sent, sse, { body: { maxDecoderBytes: 1_000 } });
    expect(body.equals(sent)).toBe(true);
    expect(chunks.map(({ payload }) => Buffer.from(payload).toString())).toEqual(['small']);
    expect(failures).toMatchObject([{ decoder: 'sse_data', decoderErrorCode: 'frame_too_large' }]);
    expect(reason).toBe('mitm_http_completed');
  });

  test('a line that never ends is not kept', async () => {
    const sent = Buffer.alloc(6 * mebibyte, 'x');
    const { body, chunks, failures } = await pass(sent, { 'content-type': 'application/x-ndjson' });
    expect([body.equals(sent), chunks.length]).toEqual([true, 0]);
    expect(failures).toMatchObject([{ decoder: 'ndjson_line', decoderErrorCode: 'frame_too_large' }]);
  });
});

function echoGrpc(stream: ServerHttp2Stream): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
  stream.pipe(stream);
}

describe('a stream that is wrong', () => {
  const rows: readonly [string, Buffer, Readonly<Record<string, string>>, string, string][] = [
    [
      'gzip that is none',
      Buffer.from('data: x\n\n'),
      { ...sse, 'content-encoding': 'gzip' },
      'gzip',
      'invalid_coding',
    ],
    [
      'gzip that is cut',
      gzipSync('data: x\n\n').subarray(0, -5),
      { ...sse, 'content-encoding': 'gzip' },
      'gzip',
      'invalid_coding',
    ],
    [
      'a coding that nobody knows',
      Buffer.from('data: x\n\n'),
      { ...sse, 'content-encoding': 'lzma' },
      'lzma',
      'unknown_coding',
    ],
    [
      'an AWS message with a wrong checksum',
      Buffer.from('0000001000000000aaaaaaaabbbbbbbb', 'hex'),
      { 'content-type': 'application/vnd.amazon.eventstream' },
      'event_stream_message',
      'checksum_mismatch',
    ],
  ];
  test.each(rows)(
    '%s: one event, and every byte for the client',
    async (_what, sent, headers, decoder, code) => {
      const { body, failures, reason } = await pass(sent, headers);
      expect(body.equals(sent)).toBe(true);
      expect(failures).toMatchObject([{ decoder, decoderErrorCode: code, direction: 'server_to_client' }]);
      expect(reason).toBe('mitm_http_completed');
    },
  );

  const message = Buffer.from('0000000002', 'hex');
  const grpcRows: readonly [string, Buffer, string][] = [
    ['a flag that is neither 0 nor 1', Buffer.from('0700000002', 'hex'), 'invalid_compressed_flag'],
    ['a message larger than the limit', Buffer.from('0010000000', 'hex'), 'message_too_large'],
    ['an end inside a prefix', Buffer.from('000000', 'hex'), 'truncated_prefix'],
    ['an end inside a message', Buffer.from('000000000561', 'hex'), 'length_mismatch'],
  ];
  test.each(grpcRows)('gRPC with %s, in both directions', async (_what, bad, code) => {
    const chunks: StreamChunk[] = [];
    const sent = Buffer.concat([message, Buffer.from('ok'), bad]);
    await using origin = await startHttp2Origin({ authority, onStream: echoGrpc });
    await using proxy = await startProxy({
      trusts: authority,
      handler: { onStreamChunk: (chunk) => void chunks.push(chunk) },
    });
    await using client = await http2ThroughProxy({ ...proxy.forClients, authority: origin.authority });
    const fields = { ':method': 'POST', ':path': '/a.B/C', 'content-type': 'application/grpc' };
    const answer = await askHttp2(client, fields, sent);
    expect([answer.body.equals(sent), answer.rstCode]).toEqual([true, 0]);
    await client[Symbol.asyncDispose]();
    const { failures, reason } = await ended(proxy);
    expect(chunks.map(({ payload }) => Buffer.from(payload).toString())).toEqual(['ok', 'ok']);
    expect(failures).toMatchObject([
      { decoder: 'grpc_message', decoderErrorCode: code, direction: 'client_to_server' },
      { decoder: 'grpc_message', decoderErrorCode: code, direction: 'server_to_client' },
    ]);
    expect(reason).toBe('mitm_http_completed');
  });
});

describe('Alt-Svc', () => {
  const offered = 'h3=":443"; ma=86400, h2="localhost:1"; ma=60';
  const rows: readonly [string, Partial<MitmConfigInput>, string][] = [
    ['loses HTTP/3 by default: nobody is led past the proxy', {}, 'h2="localhost:1"; ma=60'],
    ["is left alone with altSvc: 'keep'", { altSvc: 'keep' }, offered],
  ];
  test.each(rows)('%s, over HTTP/1.1 and HTTP/2', async (_what, config, expected) => {
    await using origin = await startHttpsOrigin({
      authority,
      handler: (_seen, response) => void response.writeHead(200, { 'alt-svc': offered }).end('ok'),
    });
    await using modern = await startHttp2Origin({
      authority,
      onStream: (stream) => {
        stream.respond({ ':status': 200, 'alt-svc': offered });
        stream.end('ok');
      },
    });
    await using proxy = await startProxy({ trusts: authority, config });
    const answer = await httpsThroughProxy({ ...proxy.forClients, url: `${origin.url}/` });
    const at = answer.rawHeaders.findIndex((name) => name.toLowerCase() === 'alt-svc');
    expect(answer.rawHeaders[at + 1]).toBe(expected);
    await using client = await http2ThroughProxy({ ...proxy.forClients, authority: modern.authority });
    const { headers } = await askHttp2(client, { ':path': '/' });
    expect(headers['alt-svc']).toBe(expected);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
  });

  test('with nothing but HTTP/3 is gone', async () => {
    await using origin = await startHttpsOrigin({
      authority,
      handler: (_seen, response) => void response.writeHead(200, { 'alt-svc': 'h3=":443"' }).end('ok'),
    });
    await using proxy = await startProxy({ trusts: authority });
    const ask = { ...proxy.forClients, url: `${origin.url}/` };
    const names = (await httpsThroughProxy(ask)).rawHeaders.map((name) => name.toLowerCase());
    expect(names).not.toContain('alt-svc');
    await proxy.finish();
  });
});
