// gRPC as programs speak it, with @grpc/grpc-js on both ends: every kind of call, deadlines and cancellation, big messages, metadata
// and error details; and what the events tell of a call.
import { status } from '@grpc/grpc-js';
import { type InterceptHandler } from 'soth-mitm';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { failure, GrpcClient, type GrpcOrigin, grpcService, startGrpcOrigin } from '../lab/grpc-peers.ts';
import { dataFrame, endHeaders, endStream, headersFrame } from '../lab/h2-frames.ts';
import { dialRawPeer, postFields, startRawH2Origin } from '../lab/h2-raw-peers.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';

let authority: LabAuthority;
let origin: GrpcOrigin;
beforeAll(async () => {
  authority = await createLabAuthority();
  origin = await startGrpcOrigin(authority);
});
afterAll(async () => {
  await origin[Symbol.asyncDispose]();
  await authority[Symbol.asyncDispose]();
});
afterEach(() => {
  vi.unstubAllEnvs();
});

function dial(proxy: LabProxy): GrpcClient {
  vi.stubEnv('grpc_proxy', `http://127.0.0.1:${proxy.port}`);
  vi.stubEnv('no_proxy', '');
  vi.stubEnv('no_grpc_proxy', '');
  return new GrpcClient(origin.authority, proxy.ca.certificatePem);
}

function words(...texts: readonly string[]): Buffer[] {
  return texts.map((text) => Buffer.from(text));
}

const handlers: readonly (readonly [string, InterceptHandler])[] = [
  ['with no handler', {}],
  [
    'with a handler that sees everything',
    { onRequest: () => ({ action: 'allow' }), onResponse: () => {}, onStreamChunk: () => {} },
  ],
];

describe.each(handlers)('calls %s', (_how, handler) => {
  test('of all four kinds bring every message', async () => {
    await using proxy = await startProxy({ trusts: authority, handler });
    const client = dial(proxy);
    const unary = await client.call('unary', words('one'), { metadata: { 'x-in': 'given' } });
    expect(unary).toMatchObject({ code: status.OK, messages: words('one') });
    expect(unary.head.get('x-head')).toEqual(['given']);
    expect(unary.trailers.get('x-trailer-bin')).toEqual([Buffer.from('given')]);
    const collected = await client.call('collect', words('a', 'b', 'c'));
    expect(collected).toMatchObject({ code: status.OK, messages: words('abc') });
    const counted = await client.call('count', words('100'));
    expect(counted.messages.map(String)).toEqual(Array.from({ length: 100 }, (_, index) => String(index)));
    const chatted = await client.call('chat', words('to', 'and', 'fro'));
    expect(chatted).toMatchObject({ code: status.OK, messages: words('to', 'and', 'fro') });
    client.close();
    await proxy.finish();
    expect(proxy.handle.metrics().closedByReason).toMatchObject({ mitm_http_completed: 5 });
  });

  test('of 4 MiB pass whole, both ways', async () => {
    await using proxy = await startProxy({ trusts: authority, handler });
    const client = dial(proxy);
    const big = Buffer.alloc(4 * 1024 * 1024, 'big message ');
    const { code, messages } = await client.call('unary', [big]);
    expect(code).toBe(status.OK);
    expect(messages[0]?.equals(big)).toBe(true);
    client.close();
    await proxy.finish();
  });

  test('that fail say so with code, text and details', async () => {
    await using proxy = await startProxy({ trusts: authority, handler });
    const client = dial(proxy);
    const { code, details, trailers } = await client.call('fail', words('x'));
    expect([code, details]).toEqual([failure.code, failure.details]);
    expect(trailers.get('grpc-status-details-bin')).toEqual([failure.bin]);
    client.close();
    await proxy.finish();
  });

  test('that pass their deadline, or are cancelled, are cancelled at the origin', async () => {
    await using proxy = await startProxy({ trusts: authority, handler });
    const client = dial(proxy);
    const before = origin.cancelledCount;
    const late = await client.call('hang', words('x'), { deadlineMs: 300 });
    expect(late.code).toBe(status.DEADLINE_EXCEEDED);
    const given = await client.call('hang', words('x'), { isCancelled: true });
    expect(given.code).toBe(status.CANCELLED);
    const cut = await client.call('count', words('1000000'), { isCancelled: true });
    expect(cut.code).toBe(status.CANCELLED);
    await expect.poll(() => origin.cancelledCount - before, { timeout: 5_000 }).toBe(3);
    // The connection is as good as new.
    expect(await client.call('unary', words('after'))).toMatchObject({ code: status.OK });
    client.close();
    await proxy.finish();
    expect(proxy.handle.metrics().closedByReason).toMatchObject({ client_aborted: 3 });
  });
});

describe('what the events tell', () => {
  test('GR-01 of a unary call: request, answer and trailers, in that order', async () => {
    await using proxy = await startProxy({ trusts: authority });
    const client = dial(proxy);
    await client.call('unary', words('one'));
    client.close();
    await proxy.finish();
    const told = proxy.events.ofFlow(2).filter(({ kind }) => kind.startsWith('grpc_'));
    const all = {
      grpcPath: `/${grpcService}/Unary`,
      grpcService,
      grpcMethod: 'Unary',
      grpcDetectionMode: 'content_type_and_path',
      grpcRequestContentType: 'application/grpc',
    };
    expect(told).toMatchObject([
      { kind: 'grpc_request_headers', grpcEventSequence: 1, ...all, te: 'trailers' },
      {
        kind: 'grpc_response_headers',
        grpcEventSequence: 2,
        ...all,
        statusCode: 200,
        grpcResponseContentType: expect.stringMatching(/^application\/grpc/u),
      },
      { kind: 'grpc_response_trailers', grpcEventSequence: 3, ...all, grpcStatus: '0' },
    ]);
  });

  test('of an answer in one header block: its status, as trailers only', async () => {
    await using raw = await startRawH2Origin({
      authority,
      onPeer: async (peer) => {
        await peer.until(() => peer.stream(1).isEnded, 'the call');
        const fields = [':status', '200', 'content-type', 'application/grpc', 'grpc-status', '12'];
        peer.send(headersFrame(1, [...fields, 'grpc-message', 'no%20such'], endHeaders | endStream));
      },
    });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await dialRawPeer({ ...proxy.forClients, authority: raw.authority });
    const type = ['content-type', 'application/grpc+proto', 'te', 'trailers'];
    const id = client.ask(postFields(raw.authority, '/a.B/C', ...type), endHeaders);
    client.send(dataFrame(id, Buffer.alloc(5), endStream));
    const seen = await client.over(id);
    expect(seen.heads).toHaveLength(1);
    expect(seen.heads[0]).toContain('no%20such');
    expect(raw.peers[0]?.stream(1).heads[0]).toEqual(postFields(raw.authority, '/a.B/C', ...type));
    await client[Symbol.asyncDispose]();
    await proxy.finish();
    expect(proxy.events.events().filter(({ kind }) => kind === 'grpc_response_trailers')).toMatchObject([
      { grpcTrailersOnly: true, grpcStatus: '12', grpcMessage: 'no%20such', trailerCount: 0 },
    ]);
  });

  test('GR-02 nothing of a request whose path alone looks like a call', async () => {
    await using raw = await startRawH2Origin({
      authority,
      onPeer: async (peer) => {
        await peer.until(() => peer.stream(1).isEnded, 'the request');
        peer.send(headersFrame(1, [':status', '200'], endHeaders | endStream));
      },
    });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await dialRawPeer({ ...proxy.forClients, authority: raw.authority });
    const id = client.ask(
      postFields(raw.authority, '/pkg.Service/Method', 'content-type', 'application/json'),
    );
    await client.over(id);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
    expect(proxy.events.kinds().filter((kind) => kind.startsWith('grpc_'))).toEqual([]);
  });
});
