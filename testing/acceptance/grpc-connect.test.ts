// Connect as programs speak it, with @connectrpc/connect-node on both ends, and gRPC and gRPC-web by the same library.
import { BytesValueSchema } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import {
  type ConnectOrigin,
  connectProtocols,
  dialConnect,
  errorDetail,
  startConnectOrigin,
  textMessages,
  textsOf,
} from '../lab/connect-peers.ts';
import { Gate } from '../lab/gate.ts';
import { startProxy } from '../lab/proxy.ts';

let authority: LabAuthority;
let origin: ConnectOrigin;
beforeAll(async () => {
  authority = await createLabAuthority();
  origin = await startConnectOrigin(authority);
});
afterAll(async () => {
  await origin[Symbol.asyncDispose]();
  await authority[Symbol.asyncDispose]();
});

async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  try {
    await call;
  } catch (error) {
    return ConnectError.from(error);
  }
  throw new Error('the call did not fail');
}

describe.each(connectProtocols)('%s', (protocol) => {
  const handler = { onRequest: () => ({ action: 'allow' }) as const, onResponse: () => {} };

  test('brings every message of all four kinds of calls', async () => {
    await using proxy = await startProxy({ trusts: authority, handler });
    await using peer = await dialConnect(protocol, { ...proxy.forClients, authority: origin.authority });
    const { echo } = peer;
    const metadata: (string | null)[] = [];
    const one = await echo.unary(
      { value: Buffer.from('one') },
      {
        headers: { 'x-in': 'given' },
        onHeader: (headers) => void metadata.push(headers.get('x-head')),
        onTrailer: (trailers) => void metadata.push(trailers.get('x-trailer')),
      },
    );
    expect(Buffer.from(one.value).toString()).toBe('one');
    expect(metadata).toEqual(['given', 'given']);
    const collected = await echo.collect(textMessages('a', 'b', 'c'));
    expect(Buffer.from(collected.value).toString()).toBe('abc');
    expect(await textsOf(echo.count({ value: Buffer.from('50') }))).toHaveLength(50);
    expect(await textsOf(echo.chat(textMessages('to', 'and', 'fro')))).toEqual(['to', 'and', 'fro']);
    await peer[Symbol.asyncDispose]();
    await proxy.finish();
    expect(proxy.handle.metrics().closedByReason).toMatchObject({ mitm_http_completed: 5 });
  });

  test('answers each message of a call that stays open before the next is sent', async () => {
    await using proxy = await startProxy({ trusts: authority, handler });
    await using peer = await dialConnect(protocol, { ...proxy.forClients, authority: origin.authority });
    let answered = new Gate();
    async function* inTurn(): AsyncGenerator<{ value: Uint8Array }> {
      for (const text of ['ping', 'pong', 'pang']) {
        answered = new Gate();
        yield { value: Buffer.from(text) };
        await answered.opened;
      }
    }
    const heard: string[] = [];
    for await (const { value } of peer.echo.chat(inTurn())) {
      heard.push(Buffer.from(value).toString());
      answered.open();
    }
    expect(heard).toEqual(['ping', 'pong', 'pang']);
    await peer[Symbol.asyncDispose]();
    await proxy.finish();
  });

  test('fails with code, text and metadata, at its deadline, and when it is cancelled', async () => {
    await using proxy = await startProxy({ trusts: authority, handler });
    await using peer = await dialConnect(protocol, { ...proxy.forClients, authority: origin.authority });
    const { echo } = peer;
    const failed = await failureOf(echo.fail({}));
    expect([failed.code, failed.rawMessage]).toEqual([Code.FailedPrecondition, 'not today']);
    expect(failed.metadata.get('x-why')).toBe('closed');
    const details = failed.findDetails(BytesValueSchema);
    expect(details.map(({ value }) => Buffer.from(value))).toEqual([errorDetail]);
    const before = origin.abortedCount;
    expect((await failureOf(echo.hang({}, { timeoutMs: 300 }))).code).toBe(Code.DeadlineExceeded);
    const cancelled = new AbortController();
    setTimeout(() => cancelled.abort(), 100);
    expect((await failureOf(echo.hang({}, { signal: cancelled.signal }))).code).toBe(Code.Canceled);
    await expect.poll(() => origin.abortedCount - before, { timeout: 5_000 }).toBe(2);
    await peer[Symbol.asyncDispose]();
    await proxy.finish();
  });

  test('brings 4 MiB both ways', async () => {
    await using proxy = await startProxy({ trusts: authority, handler });
    await using peer = await dialConnect(protocol, { ...proxy.forClients, authority: origin.authority });
    const big = Buffer.alloc(4 * 1024 * 1024, 'big message ');
    const { value } = await peer.echo.unary({ value: big });
    expect(big.equals(value)).toBe(true);
    await peer[Symbol.asyncDispose]();
    await proxy.finish();
  });
});
