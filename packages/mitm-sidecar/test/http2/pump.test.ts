// A session on a wire: when its frames leave, when it hears of the time, and how either side's end reaches the other.
import type { Duplex } from 'node:stream';

import { parseConfig } from 'mitm-core';
import { h2Code, H2Session, type H2Stream } from 'mitm-http';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { endHeaders, endStream, headersFrame, resetFrame } from '../../../../testing/lab/h2-frames.ts';
import { RawPeer } from '../../../../testing/lab/h2-raw-peers.ts';
import { linkedPair } from '../../../../testing/lab/linked-pair.ts';
import { SessionPump } from '../../src/http2/pump.ts';
import { sessionOptions } from '../../src/http2/session-options.ts';
import { Wire } from '../../src/wire.ts';
import { frameText } from '../frame-text.ts';
import { getFields } from '../messages.ts';
import { nextTurn } from '../streams.ts';

const config = parseConfig({ interception: { destinations: ['*:*'] }, timeouts: { handshakeMs: 5_000 } });

interface Lab extends Disposable {
  readonly near: Duplex;
  readonly far: Duplex;
  readonly session: H2Session;
  readonly pump: SessionPump;
  /** What owner, listener and streams were told, in order. */
  readonly told: string[];
  readonly streams: H2Stream[];
  /** What the listener does with a request. */
  whenAsked: (stream: H2Stream) => void;
}

/** The server's end of a connection, on which nothing has begun yet. */
function laidOut(): Lab {
  const [near, far] = linkedPair();
  const told: string[] = [];
  const streams: H2Stream[] = [];
  const session = new H2Session(sessionOptions(config, 'server', false), {
    request: (stream) => {
      streams.push(stream);
      stream.listener = {
        informational: () => {},
        response: () => {},
        responseTooLarge: () => {},
        data: () => {},
        trailers: () => {},
        reset: (_code, by) => told.push(`reset by ${by}`),
        writable: () => told.push('writable'),
      };
      lab.whenAsked(stream);
    },
    headTooLarge: () => {},
    settings: () => {},
    goaway: () => {},
    failed: (error) => told.push(`failed ${error.reason}`),
    outputReady: () => pump.flushSoon(),
  });
  const pump = new SessionPump(new Wire(near), session, {
    received: () => told.push('received'),
    ticked: () => told.push('ticked'),
    quiet: (quietMs) => told.push(`quiet ${quietMs}`),
    faulted: (error) => told.push(`faulted ${String(error)}`),
    lost: (error) => told.push(`lost ${error === undefined ? '' : error.message}`.trim()),
    gone: () => told.push('gone'),
  });
  const lab: Lab = {
    near,
    far,
    session,
    pump,
    told,
    streams,
    whenAsked: () => {},
    [Symbol.dispose]: () => {
      pump.end();
      near.destroy();
      far.destroy();
    },
  };
  return lab;
}

/** A connection that is settled, its peer a client that says frames. */
async function settledLab(options: ConstructorParameters<typeof RawPeer>[2] = {}) {
  const lab = laidOut();
  const client = new RawPeer(lab.far, true, options);
  lab.pump.start(0);
  await client.until(() => client.frames.length >= 3, 'the settings');
  client.frames.length = 0;
  lab.told.length = 0;
  return { ...lab, lab, client, [Symbol.dispose]: () => lab[Symbol.dispose]() };
}

const body = (bytes: number): Buffer => Buffer.alloc(bytes, 'x');

describe('what a session has to say', () => {
  test('begins with its settings', async () => {
    using lab = laidOut();
    const client = new RawPeer(lab.far, true, {});
    lab.pump.start(0);
    await client.until(() => client.frames.length >= 3, 'the settings');
    expect(client.frames.slice(0, 3).map(frameText)).toEqual([
      'SETTINGS',
      'WINDOW_UPDATE +16711681',
      'SETTINGS ACK',
    ]);
  });

  test('leaves in one write at the end of the turn', async () => {
    using settled = await settledLab();
    const { lab, client, far } = settled;
    const chunks: number[] = [];
    far.on('data', (chunk: Buffer) => chunks.push(chunk.length));
    lab.whenAsked = (stream) => {
      stream.sendHead([':status', '200'], false);
      stream.sendData(Buffer.from('abc'));
      stream.sendEnd();
    };
    client.send(
      headersFrame(1, getFields(), endHeaders | endStream),
      headersFrame(3, getFields(), endHeaders | endStream),
    );
    await client.over(3);
    expect(client.frames.map(frameText)).toEqual([
      'HEADERS 1 :status 200',
      'DATA 1 abc END',
      'HEADERS 3 :status 200',
      'DATA 3 abc END',
    ]);
    expect(chunks).toHaveLength(1);
  });

  test('leaves at once where that is asked for, and before the end', async () => {
    using settled = await settledLab();
    const { client, session, pump } = settled;
    session.ping();
    pump.flush();
    session.goaway();
    pump.end();
    await client.ended();
    expect(client.frames.map(frameText)).toEqual(['PING', 'GOAWAY 0 NO_ERROR']);
  });

  test('waits where the peer takes nothing, and goes on when it does', async () => {
    using settled = await settledLab({ settings: { initialWindowSize: 2 ** 30 } });
    const { lab, client, far, told } = settled;
    lab.whenAsked = (stream) => {
      far.pause();
      stream.sendHead([':status', '200'], false);
      stream.sendData(body(500_000));
    };
    client.ask(getFields());
    await nextTurn();
    await nextTurn();
    told.length = 0;
    expect(lab.streams[0]?.sendData(body(10))).toBe(false);
    await nextTurn();
    expect(told).toEqual([]);
    far.resume();
    await client.until(() => client.stream(1).body.length === 500_010, 'the whole body');
    expect(told).toContain('writable');
  });
});

describe('the end', () => {
  test('of ours is told once; what the peer sends then goes nowhere', async () => {
    using settled = await settledLab();
    const { pump, client, told } = settled;
    pump.end();
    pump.end();
    await client.ended();
    client.ask(getFields());
    await nextTurn();
    expect(told).toEqual(['gone']);
  });

  test('of the peer reaches the streams between `lost` and `gone`', async () => {
    using settled = await settledLab();
    const { client, far, told } = settled;
    client.ask(getFields());
    await vi.waitFor(() => expect(told).toEqual(['received']));
    far.end();
    await vi.waitFor(() => expect(told.slice(1)).toEqual(['lost', 'reset by session', 'gone']));
  });

  test('by an error says which', async () => {
    using settled = await settledLab();
    const { near, told } = settled;
    near.destroy(new Error('read ECONNRESET'));
    await vi.waitFor(() => expect(told).toEqual(['lost read ECONNRESET', 'gone']));
  });

  test('follows a broken rule: GOAWAY leaves, and then the connection ends', async () => {
    using settled = await settledLab();
    const { client, told } = settled;
    client.ask(getFields());
    client.send(headersFrame(2, getFields()));
    await client.ended();
    expect(client.frames.map(frameText)).toEqual(['GOAWAY 1 PROTOCOL_ERROR']);
    expect(told.filter((word) => word !== 'received')).toEqual([
      'reset by session',
      'failed protocol_error',
      'gone',
    ]);
  });

  test('follows a fault of our own', async () => {
    using settled = await settledLab();
    const { lab, client, told } = settled;
    lab.whenAsked = () => {
      throw new Error('a bug');
    };
    client.ask(getFields());
    await client.ended();
    expect(client.frames.map(frameText)).toEqual(['GOAWAY 1 INTERNAL_ERROR']);
    expect(told).toEqual(['faulted Error: a bug', 'reset by session', 'gone']);
  });
});

describe('time', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('is told once a second while there are streams, and not without', async () => {
    using settled = await settledLab();
    const { lab, client, told, pump } = settled;
    const rest = vi.spyOn(lab.session, 'rest');
    vi.advanceTimersByTime(3_000);
    expect(told).toEqual(['ticked']);
    expect(rest).toHaveBeenCalledTimes(1);
    client.ask(getFields());
    await vi.waitFor(() => expect(lab.streams).toHaveLength(1));
    pump.wake();
    pump.wake();
    told.length = 0;
    vi.advanceTimersByTime(3_000);
    expect(told).toEqual(['ticked', 'ticked', 'ticked']);
    expect(rest).toHaveBeenCalledTimes(1);
    client.send(resetFrame(1, h2Code.cancel));
    await vi.waitFor(() => expect(told).toContain('reset by peer'));
    told.length = 0;
    vi.advanceTimersByTime(3_000);
    expect(told).toEqual(['ticked']);
  });

  test('is not told behind the end, whoever asks for it', async () => {
    using settled = await settledLab();
    const { told, pump } = settled;
    pump.end();
    pump.wake();
    vi.advanceTimersByTime(3_000);
    expect(told).toEqual(['gone']);
  });

  test('ends a connection whose peer does not take our settings', async () => {
    using lab = laidOut();
    lab.pump.start(0);
    vi.advanceTimersByTime(6_000);
    expect(lab.told).toContain('failed settings_timeout');
    await vi.waitFor(() => expect(lab.told.at(-1)).toBe('gone'));
  });

  test('without any traffic is told as silence', async () => {
    using lab = laidOut();
    lab.pump.start(2_000);
    lab.told.length = 0;
    vi.advanceTimersByTime(4_500);
    expect(lab.told.filter((word) => word.startsWith('quiet'))).toEqual(['quiet 2000', 'quiet 4000']);
  });
});
