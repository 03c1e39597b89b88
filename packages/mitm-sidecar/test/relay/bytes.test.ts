// Bytes go both ways unchanged, each direction ends by itself, and a break on one side is seen on the other.
import type { Socket } from 'node:net';
import { duplexPair } from 'node:stream';

import { Failure, type Flow } from 'mitm-core';
import { describe, expect, test, vi } from 'vitest';

import { ByteLog } from '../../../../testing/lab/byte-log.ts';
import { expectNothingLeft, openHandles } from '../../../../testing/lab/resources.ts';
import { drip, everySplit } from '../../../../testing/lab/split.ts';
import { relayBytes } from '../../src/relay/bytes.ts';
import { Wire } from '../../src/wire.ts';
import { createRuntime } from '../runtime-fixture.ts';
import { nextTurn, patterned, readToEnd, tcpPair } from '../streams.ts';

const { openFlow } = await createRuntime();

interface Relayed extends AsyncDisposable {
  readonly client: Socket;
  readonly origin: Socket;
  readonly flow: Flow;
  readonly clientWire: Wire;
  readonly originWire: Wire;
  readonly result: Promise<string>;
}

/** A relay between two TCP connections; the result is the reason, or the failure in words. */
async function startRelay(idleMs = 5_000, before?: (client: Wire, origin: Wire) => void): Promise<Relayed> {
  const [clientSide, originSide] = [await tcpPair(), await tcpPair()];
  const flow = openFlow({ host: 'example.org', port: 443 });
  const [clientWire, originWire] = [new Wire(clientSide.near), new Wire(originSide.near)];
  before?.(clientWire, originWire);
  return {
    client: clientSide.far,
    origin: originSide.far,
    flow,
    clientWire,
    originWire,
    result: relayBytes(flow, clientWire, originWire, idleMs).catch(words),
    async [Symbol.asyncDispose]() {
      await clientSide[Symbol.asyncDispose]();
      await originSide[Symbol.asyncDispose]();
    },
  };
}

function words(error: unknown): string {
  if (!(error instanceof Failure)) throw error;
  return `${error.reason} (${error.side}): ${error.detail}`;
}

describe('bytes', () => {
  test('pass both ways the same however they are cut', async () => {
    const [up, down] = [patterned(2_000), patterned(2_100).subarray(100)];
    const tried = await everySplit(
      up,
      async (pieces) => {
        const [clientNear, client] = duplexPair();
        const [originNear, origin] = duplexPair();
        const flow = openFlow({ host: 'example.org', port: 443 });
        const result = relayBytes(flow, new Wire(clientNear), new Wire(originNear), 5_000);
        const logs = [new ByteLog(origin), new ByteLog(client)] as const;
        for (const piece of pieces) client.write(piece);
        for (const piece of pieces) origin.write(down.subarray(0, piece.length));
        client.end();
        origin.end();
        const [atOrigin, atClient] = [await logs[0].ended(), await logs[1].ended()];
        return [
          await result,
          atOrigin.equals(up),
          atClient.length,
          flow.bytesFromClient,
          flow.bytesFromServer,
        ];
      },
      { maxSplits: 40 },
    );
    expect(tried).toBeGreaterThan(20);
  });

  test('pass one by one as they come', async () => {
    await using relay = await startRelay();
    const log = new ByteLog(relay.origin);
    await drip(relay.client, ['a', 'b', 'c']);
    expect((await log.until('abc')).toString()).toBe('abc');
  });

  test('of 5 MiB each way arrive unchanged through slow readers, and little waits in between', async () => {
    await using relay = await startRelay();
    const [up, down] = [patterned(5 * 1024 * 1024), patterned(5 * 1024 * 1024 + 7)];
    relay.client.end(up);
    relay.origin.end(down);
    let most = 0;
    for (const socket of [relay.client, relay.origin]) {
      socket.on('data', () => {
        most = Math.max(most, relay.clientWire.pendingBytes, relay.originWire.pendingBytes);
        socket.pause();
        setImmediate(() => socket.resume());
      });
    }
    const [atOrigin, atClient] = await Promise.all([readToEnd(relay.origin), readToEnd(relay.client)]);
    expect([atOrigin.equals(up), atClient.equals(down)]).toEqual([true, true]);
    expect(most).toBeLessThan(512 * 1024);
    expect(await relay.result).toBe('relay_eof');
    expect([relay.flow.bytesFromClient, relay.flow.bytesFromServer]).toEqual([up.length, down.length]);
  });

  test('that had been held on either side go first', async () => {
    await using relay = await startRelay(5_000, (client, origin) => {
      client.pushBack(Buffer.from('early question, '));
      origin.pushBack(Buffer.from('early greeting, '));
    });
    relay.client.end('question');
    relay.origin.end('greeting');
    const logs = [new ByteLog(relay.origin), new ByteLog(relay.client)] as const;
    expect((await logs[0].ended()).toString()).toBe('early question, question');
    expect((await logs[1].ended()).toString()).toBe('early greeting, greeting');
  });

  test('nobody reads make the other side wait', async () => {
    await using relay = await startRelay();
    relay.client.pause();
    const piece = patterned(1024 * 1024);
    for (let count = 0; count < 32; count += 1) relay.origin.write(piece);
    await expect.poll(() => relay.originWire.isReading).toBe(false);
    const waiting = relay.clientWire.pendingBytes;
    await nextTurn();
    await nextTurn();
    expect(relay.clientWire.pendingBytes).toBe(waiting);
    expect(waiting).toBeLessThan(1024 * 1024);
    relay.origin.end();
    relay.client.end();
    expect((await readToEnd(relay.client)).length).toBe(32 * piece.length);
    expect(await relay.result).toBe('relay_eof');
  });
});

describe('the end', () => {
  test.each([
    ['client', 'origin'],
    ['origin', 'client'],
  ] as const)('of the %s is passed on, while the %s may go on', async (first, second) => {
    await using relay = await startRelay();
    const logs = { client: new ByteLog(relay.client), origin: new ByteLog(relay.origin) };
    relay[first].end('done');
    expect((await logs[second].ended()).toString()).toBe('done');
    expect(logs[first].hasEnded).toBe(false);
    relay[second].write('but ');
    await logs[first].until('but ');
    relay[second].end('I am not');
    expect((await logs[first].ended()).toString()).toBe('but I am not');
    expect(await relay.result).toBe('relay_eof');
  });

  test('is told only when the last bytes have left: whoever closes then cuts nothing off', async () => {
    await using relay = await startRelay();
    const told = vi.fn<() => void>();
    void relay.result.then(told);
    relay.client.end();
    relay.client.pause();
    const sent = patterned(16 * 1024 * 1024);
    relay.origin.end(sent);
    await expect.poll(() => relay.originWire.isEnded || !relay.originWire.isReading).toBe(true);
    await nextTurn();
    expect(told).not.toHaveBeenCalled();
    const received = readToEnd(relay.client);
    expect(await relay.result).toBe('relay_eof');
    relay.clientWire.destroy();
    expect((await received).equals(sent)).toBe(true);
  });

  test('that was there before is passed on, too', async () => {
    const [clientNear, client] = duplexPair();
    const [originNear, origin] = duplexPair();
    const wire = new Wire(clientNear);
    client.end('only this');
    await vi.waitFor(() => expect(wire.isEnded).toBe(true));
    const log = new ByteLog(origin);
    const result = relayBytes(openFlow(), wire, new Wire(originNear), 5_000);
    expect((await log.ended()).toString()).toBe('only this');
    client.resume();
    origin.end();
    expect(await result).toBe('relay_eof');
  });
});

describe('a break', () => {
  test.each([
    ['client', 'origin', 'relay_error (client): client: read ECONNRESET'],
    ['origin', 'client', 'relay_error (upstream): upstream: read ECONNRESET'],
  ] as const)('of the %s is a reset for the %s', async (first, second, expected) => {
    await using relay = await startRelay();
    const log = new ByteLog(relay[second]);
    relay[first].write('half a mess');
    await log.until('half a mess');
    relay[first].resetAndDestroy();
    await log.closed();
    expect(log.error).toMatchObject({ code: 'ECONNRESET' });
    expect(await relay.result).toBe(expected);
  });

  test.each(['client', 'origin'] as const)('of the %s before the relay began ends it', async (which) => {
    const [clientNear, client] = duplexPair();
    const [originNear, origin] = duplexPair();
    const wires = { client: new Wire(clientNear), origin: new Wire(originNear) };
    const [broken, other] = which === 'client' ? [clientNear, origin] : [originNear, client];
    broken.destroy(new Error('gone'));
    await vi.waitFor(() => expect(wires[which].isClosed).toBe(true));
    const log = new ByteLog(other);
    const failed = relayBytes(openFlow(), wires.client, wires.origin, 5_000);
    await expect(failed).rejects.toMatchObject({ reason: 'relay_error' });
    expect([clientNear.destroyed, originNear.destroyed]).toEqual([true, true]);
    log.release();
    other.destroy();
  });

  test('without an error, in the middle, is a break as well', async () => {
    const [clientNear] = duplexPair();
    const [originNear] = duplexPair();
    const result = relayBytes(openFlow(), new Wire(clientNear), new Wire(originNear), 5_000).catch(words);
    clientNear.destroy();
    expect(await result).toBe('relay_error (client): client: connection closed');
    expect(originNear.destroyed).toBe(true);
  });
});

describe('silence', () => {
  test('in both directions ends the relay and both connections', async () => {
    await using relay = await startRelay(40);
    const logs = [new ByteLog(relay.client), new ByteLog(relay.origin)];
    const since = performance.now();
    expect(await relay.result).toBe(
      'idle_watchdog_timeout (internal): idle_watchdog_timeout:copy_bidirectional:40ms',
    );
    expect(performance.now() - since).toBeGreaterThan(25);
    for (const log of logs) await log.closed();
  });

  test('in one direction alone does not', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      const [clientNear, client] = duplexPair();
      const [originNear, origin] = duplexPair();
      const result = relayBytes(openFlow(), new Wire(clientNear), new Wire(originNear), 400);
      const log = new ByteLog(client);
      origin.resume();
      for (let round = 1; round <= 10; round += 1) {
        vi.advanceTimersByTime(300);
        origin.write('.');
        await log.until('.'.repeat(round));
      }
      client.end();
      origin.end();
      expect(await result).toBe('relay_eof');
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });
});

test('leaves no timer, however it ends', async () => {
  const before = openHandles();
  {
    await using relay = await startRelay();
    relay.client.resetAndDestroy();
    expect(await relay.result).toMatch(/^relay_error/);
  }
  {
    await using relay = await startRelay();
    relay.client.end();
    relay.origin.end();
    await Promise.all([readToEnd(relay.client), readToEnd(relay.origin)]);
    expect(await relay.result).toBe('relay_eof');
  }
  await expectNothingLeft(before);
});
