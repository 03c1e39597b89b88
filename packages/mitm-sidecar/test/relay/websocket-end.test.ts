// How a WebSocket ends: by the closing handshake, by an end without one, by a loss, or by silence; and what the other side sees of it.
import type { Socket } from 'node:net';

import { afterEach, describe, expect, test, vi } from 'vitest';

import { clientFrame, frame } from '../../../../testing/lab/websocket-wire.ts';
import { nextTurn, tcpPair } from '../streams.ts';
import { closeCodeBehind, startWebSocketLab, type WebSocketLab } from './websocket-lab.ts';

const hello = clientFrame({ payload: 'hello' });
const world = frame({ payload: 'world' });
const bye = Buffer.from([0x03, 0xe8]);
const clientClose = clientFrame({ opcode: 8, payload: bye });
const originClose = frame({ opcode: 8, payload: bye });
const completed = { reason: 'websocket_completed', detail: undefined };
const withoutClose = { reason: 'websocket_completed', detail: 'ended without a close frame (1006)' };

afterEach(() => {
  vi.useRealTimers();
});

/** Lets what has been written arrive, without a timer. */
async function turns(count = 10): Promise<void> {
  for (let index = 0; index < count; index += 1) await nextTurn();
}

interface TcpLab extends WebSocketLab, AsyncDisposable {
  readonly client: Socket;
  readonly origin: Socket;
}

async function startOnTcp(): Promise<TcpLab> {
  const [client, origin] = [await tcpPair(), await tcpPair()];
  const lab = await startWebSocketLab({
    pairs: { client: [client.near, client.far], origin: [origin.near, origin.far] },
  });
  return {
    ...lab,
    client: client.far,
    origin: origin.far,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await origin[Symbol.asyncDispose]();
    },
  };
}

describe('the closing handshake', () => {
  test('by the client: the origin answers and ends first (RFC 6455 §7.1.1)', async () => {
    const lab = await startWebSocketLab();
    lab.client.write(clientClose);
    await lab.atOrigin.until(clientClose);
    lab.origin.write(originClose);
    await lab.atClient.until(originClose);
    lab.origin.end();
    await lab.atClient.ended();
    lab.client.end();
    expect(await lab.end).toEqual(completed);
    expect([lab.atOrigin.received, lab.atClient.received]).toEqual([clientClose, originClose]);
  });

  test('by the origin', async () => {
    const lab = await startWebSocketLab();
    lab.origin.end(Buffer.concat([world, originClose]));
    await lab.atClient.ended();
    lab.client.end(clientClose);
    expect(await lab.end).toEqual(completed);
    expect([lab.atOrigin.received, lab.atClient.received]).toEqual([
      clientClose,
      Buffer.concat([world, originClose]),
    ]);
  });

  test('what comes behind a close frame is not passed on; the other side may finish what it says', async () => {
    const lab = await startWebSocketLab();
    lab.client.write(Buffer.concat([clientClose, hello]));
    lab.client.write(hello);
    await lab.atOrigin.until(clientClose);
    lab.origin.write(world);
    await lab.atClient.until(world);
    lab.origin.end(originClose);
    await lab.atClient.ended();
    lab.client.end();
    expect(await lab.end).toEqual(completed);
    expect(lab.atOrigin.received).toEqual(clientClose);
  });

  test('that is not answered ends both sides after 5 s', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const lab = await startWebSocketLab();
    let ended: unknown;
    void lab.end.then((end) => {
      ended = end;
    });
    lab.client.write(clientClose);
    await turns();
    expect(lab.atOrigin.received).toEqual(clientClose);
    vi.advanceTimersByTime(4_900);
    await turns();
    expect([ended, lab.atClient.hasEnded]).toEqual([undefined, false]);
    vi.advanceTimersByTime(200);
    await turns();
    expect(ended).toEqual(completed);
    expect([lab.atClient.hasEnded, lab.atOrigin.hasEnded]).toEqual([true, true]);
    // And then nobody is read for longer than a second.
    vi.advanceTimersByTime(1_100);
    await turns();
    expect([lab.clientWire.isClosed, lab.originWire.isClosed, vi.getTimerCount()]).toEqual([true, true, 0]);
  });
});

describe('an end without a close frame', () => {
  test.each(['client', 'origin'] as const)(
    'of the %s is passed on, while the other one goes on',
    async (first) => {
      const lab = await startOnTcp();
      await using _ = lab;
      const [one, other] = first === 'client' ? [lab.client, lab.origin] : [lab.origin, lab.client];
      const [atOne, atOther] =
        first === 'client' ? [lab.atClient, lab.atOrigin] : [lab.atOrigin, lab.atClient];
      const [mine, answer] = first === 'client' ? [hello, world] : [world, hello];
      one.end(mine);
      expect(await atOther.ended()).toEqual(mine);
      other.write(answer);
      await atOne.until(answer);
      expect(atOne.hasEnded).toBe(false);
      other.end();
      await atOne.ended();
      expect(await lab.end).toEqual(withoutClose);
    },
  );

  test('that the other side does not follow ends both after 5 s', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const lab = await startWebSocketLab();
    let ended: unknown;
    void lab.end.then((end) => {
      ended = end;
    });
    lab.client.end();
    await turns();
    vi.advanceTimersByTime(4_900);
    await turns();
    expect(ended).toBeUndefined();
    vi.advanceTimersByTime(200);
    await turns();
    expect(ended).toEqual(withoutClose);
  });

  test.each([
    ['in a head', 3, '3 bytes into'],
    ['in a payload', 8, '3 bytes before'],
  ])('%s is a loss for both: nobody takes the frame for whole', async (_where, length) => {
    await using lab = await startOnTcp();
    lab.client.end(hello.subarray(0, length));
    expect(await lab.end).toEqual({ reason: 'websocket_error', detail: 'websocket_codec:truncated_frame' });
    await lab.atOrigin.closed();
    expect(lab.atOrigin.error).toMatchObject({ code: 'ECONNRESET' });
    await lab.atClient.closed();
  });
});

describe('a loss', () => {
  test.each([
    ['client', 'client: read ECONNRESET'],
    ['origin', 'upstream: read ECONNRESET'],
  ] as const)('of the %s is a reset for the other side', async (which, detail) => {
    await using lab = await startOnTcp();
    const [lost, atOther] = which === 'client' ? [lab.client, lab.atOrigin] : [lab.origin, lab.atClient];
    const sent = which === 'client' ? hello : world;
    lost.write(sent);
    await atOther.until(sent);
    lost.resetAndDestroy();
    expect(await lab.end).toEqual({ reason: 'websocket_error', detail });
    await atOther.closed();
    expect(atOther.error).toMatchObject({ code: 'ECONNRESET' });
    expect(closeCodeBehind(atOther.received, sent)).toBeUndefined();
  });

  test('without an error is one, too', async () => {
    const lab = await startWebSocketLab();
    lab.originWire.socket.destroy();
    expect(await lab.end).toEqual({ reason: 'websocket_error', detail: 'upstream: connection closed' });
    await lab.atClient.ended();
    expect(lab.atClient.received).toHaveLength(0);
  });

  test('before the relay began ends it at once', async () => {
    const lab = await startWebSocketLab({ before: (client) => client.socket.destroy() });
    expect(await lab.end).toMatchObject({ reason: 'websocket_error' });
  });
});

describe('silence', () => {
  const config = { timeouts: { tunnelIdleMs: 60 } };
  const idle = { reason: 'idle_watchdog_timeout', detail: 'idle_watchdog_timeout:websocket:60ms' };

  test('in both directions ends it with 1001 for both', async () => {
    const lab = await startWebSocketLab({ config });
    lab.client.write(hello);
    await lab.atOrigin.until(hello);
    expect(await lab.end).toEqual(idle);
    expect(closeCodeBehind(await lab.atOrigin.ended(), hello)).toBe(1001);
    expect(closeCodeBehind(await lab.atClient.ended(), Buffer.alloc(0))).toBe(1001);
  });

  test('inside a frame is told to the other side only', async () => {
    const lab = await startWebSocketLab({ config });
    lab.origin.write(world.subarray(0, 4));
    expect(await lab.end).toEqual(idle);
    expect(closeCodeBehind(await lab.atOrigin.ended(), Buffer.alloc(0))).toBe(1001);
    expect(await lab.atClient.ended()).toEqual(world.subarray(0, 4));
  });

  test.each(['client', 'origin'] as const)(
    'WS-10 of one side alone is none, as long as the %s speaks',
    async (who) => {
      vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
      const lab = await startWebSocketLab({ config });
      const over = vi.fn<() => void>();
      void lab.end.then(over);
      const ping = who === 'client' ? clientFrame({ opcode: 9 }) : frame({ opcode: 9 });
      for (let round = 1; round <= 6; round += 1) {
        vi.advanceTimersByTime(45);
        lab[who].write(ping);
        await turns();
      }
      expect(over).not.toHaveBeenCalled();
      vi.advanceTimersByTime(200);
      await turns();
      expect(over).toHaveBeenCalled();
      expect(vi.getTimerCount()).toBe(0);
    },
  );
});

describe('a shutdown of the proxy', () => {
  test('is 1001 for both sides, and their last words are still read', async () => {
    const lab = await startWebSocketLab();
    lab.client.write(hello);
    await lab.atOrigin.until(hello);
    lab.session.server?.drain();
    expect(await lab.end).toEqual({ reason: 'shutdown', detail: undefined });
    expect(closeCodeBehind(await lab.atOrigin.ended(), hello)).toBe(1001);
    expect(closeCodeBehind(await lab.atClient.ended(), Buffer.alloc(0))).toBe(1001);
    expect(lab.session.server).toBeUndefined();
    lab.client.end(clientClose);
    lab.origin.end(originClose);
    await vi.waitFor(() => expect([lab.clientWire.isClosed, lab.originWire.isClosed]).toEqual([true, true]));
  });

  test('inside a frame is told to the other side only', async () => {
    const lab = await startWebSocketLab();
    lab.origin.write(world.subarray(0, 4));
    await lab.atClient.until(world.subarray(0, 4));
    lab.session.server?.drain();
    await lab.end;
    expect(closeCodeBehind(await lab.atOrigin.ended(), Buffer.alloc(0))).toBe(1001);
    expect(await lab.atClient.ended()).toEqual(world.subarray(0, 4));
  });
});
