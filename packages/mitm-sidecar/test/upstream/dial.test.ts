// Reaching the next hop, and how it is said that it can't be reached.
import { Failure, type MitmConfig, parseConfig, planRoute, type Route } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { destroyed } from '../../../../testing/lab/clients.ts';
import { refusedPort, startRawOrigin, startTcpEcho } from '../../../../testing/lab/origins.ts';
import { expectNothingLeft, openHandles } from '../../../../testing/lab/resources.ts';
import { connectTimedOut, dial, dialFailure, dialVolatile } from '../../src/upstream/dial.ts';
import { nextTurn, patterned, record } from '../streams.ts';

const config: MitmConfig = parseConfig({ interception: { destinations: ['*:*'] } });
const options = { timeoutMs: 5_000 };

function routeTo(host: string, port: number): Route {
  return planRoute(config, { host, port });
}

async function failureOf(dialling: Promise<unknown>): Promise<Failure> {
  const error: unknown = await dialling.catch((caught: unknown) => caught);
  if (!(error instanceof Failure)) throw new Error('no failure', { cause: error });
  return error;
}

describe('a next hop that answers', () => {
  test.each(['127.0.0.1', '::1', 'localhost'])(
    'at %s gives a half-open socket and leaves no timer',
    async (host) => {
      const before = openHandles();
      {
        await using origin = await startTcpEcho({ ipv6: true });
        const socket = await dial(routeTo(host, origin.port), options);
        expect(socket.allowHalfOpen).toBe(true);
        expect(socket.remotePort).toBe(origin.port);
        expect([socket.listenerCount('error'), socket.listenerCount('connect')]).toEqual([0, 0]);
        await destroyed(socket);
      }
      await expectNothingLeft(before);
    },
  );

  test("is reached by its address, not by the target's", async () => {
    await using origin = await startTcpEcho();
    const route = routeTo('example.org', 443);
    const socket = await dial({ ...route, nextHop: { host: '127.0.0.1', port: origin.port } }, options);
    expect(socket.remotePort).toBe(origin.port);
    await destroyed(socket);
  });
});

test('a connection that reads into one buffer of its own brings every byte, and can be paused', async () => {
  const bytes = patterned(1 << 20);
  await using origin = await startRawOrigin({ onConnection: (socket) => void socket.end(bytes) });
  const wire = await dialVolatile(routeTo('127.0.0.1', origin.port), options);
  expect(wire.isVolatile).toBe(true);
  const reader = record(wire);
  await reader.called('data');
  wire.pause();
  const soFar = reader.bytes.length;
  await nextTurn();
  expect(reader.bytes.length).toBe(soFar);
  wire.resume();
  await reader.called('end');
  expect(reader.bytes.equals(bytes)).toBe(true);
  wire.destroy();
});

describe('a next hop that does not', () => {
  test.each(['127.0.0.1', 'localhost'])('refuses at %s: 502 and the reason', async (host) => {
    const failure = await failureOf(dial(routeTo(host, await refusedPort()), options));
    expect(failure).toMatchObject({
      reason: 'upstream_connect_failed',
      side: 'upstream',
      reply: { status: 502, body: `the proxy could not reach ${host}: connection refused\n` },
    });
    expect(failure.detail).toMatch(/^upstream_connect_failed\[direct\]: .*ECONNREFUSED [\d.:]+/);
  });

  test('has a name that does not resolve (RFC 6761 §6.4): 502', async () => {
    const failure = await failureOf(dial(routeTo('nobody.invalid', 443), options));
    expect(failure.reply?.status).toBe(502);
    expect(String(failure.reply?.body)).toMatch(/name not found|name lookup failed/);
  });

  test('is silent: given up in time, without a timer or a socket left', async () => {
    const before = openHandles();
    const failure = await failureOf(dial(routeTo('192.0.2.1', 443), { timeoutMs: 50 }));
    expect(failure.reason).toBe('upstream_connect_failed');
    await expectNothingLeft(before);
  });
});

describe('the failure of a dial', () => {
  test('of which time ran out is a 504', () => {
    const failure = dialFailure(routeTo('example.org', 443), connectTimedOut(30));
    expect(failure.reply).toEqual({
      status: 504,
      body: 'the proxy could not reach example.org: no answer in time\n',
    });
    expect(failure.detail).toBe('upstream_connect_failed[direct]: ETIMEDOUT: connect timed out after 30 ms');
  });

  test('of several addresses says what the first one said', () => {
    const first = Object.assign(new Error('connect ECONNREFUSED ::1:443'), { code: 'ECONNREFUSED' });
    const error = new AggregateError([first, new Error('another')]);
    expect(dialFailure(routeTo('example.org', 443), error).detail).toBe(
      'upstream_connect_failed[direct]: connect ECONNREFUSED ::1:443',
    );
  });

  test('for a reason without a word of its own', () => {
    const failure = dialFailure(routeTo('example.org', 443), new Error('strange'));
    expect(failure.reply?.body).toBe('the proxy could not reach example.org: connection failed\n');
  });
});
