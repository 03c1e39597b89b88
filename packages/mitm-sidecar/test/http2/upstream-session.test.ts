// A connection to an origin: whose it is, how many streams it has room for, and how it ends.
import type { MitmConfigInput } from 'mitm-core';
import { h2Code } from 'mitm-http';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
  dataFrame,
  endHeaders,
  endStream,
  goawayFrame,
  headersFrame,
  settingsFrame,
} from '../../../../testing/lab/h2-frames.ts';
import { RawPeer } from '../../../../testing/lab/h2-raw-peers.ts';
import { linkedPair } from '../../../../testing/lab/linked-pair.ts';
import type { Http2Outbound } from '../../src/http2/outbound.ts';
import { Http2UpstreamSession } from '../../src/http2/upstream-session.ts';
import { Wire } from '../../src/wire.ts';
import { frameText } from '../frame-text.ts';
import { askedFor, getFields, h2RequestOf, postFields } from '../messages.ts';
import { ResponseRecorder } from '../recorders.ts';
import { createRuntime } from '../runtime-fixture.ts';
import { nextTurn } from '../streams.ts';

const alice = { name: 'alice' };
const bob = { name: 'bob' };

interface Lab extends Disposable {
  readonly session: Http2UpstreamSession;
  readonly origin: RawPeer;
  /** What its owner was told. */
  readonly told: string[];
  readonly breakOff: (error: Error) => void;
}

interface LabOptions {
  readonly config?: Partial<MitmConfigInput>;
  readonly peer?: ConstructorParameters<typeof RawPeer>[2];
  /** Both sides' settings have come before the test begins. */
  readonly isSettled?: boolean;
}

async function startLab(options: LabOptions = {}): Promise<Lab> {
  const fixture = await createRuntime({ config: options.config });
  const [near, far] = linkedPair();
  const told: string[] = [];
  const owner = {
    roomChanged: () => told.push('room'),
    draining: () => told.push('draining'),
    sessionGone: () => told.push('gone'),
  };
  const place = { key: 'key', generation: 3 };
  const session = new Http2UpstreamSession(new Wire(near), fixture.openFlow(), owner, place);
  const origin = new RawPeer(far, false, options.peer ?? {});
  session.start();
  if (options.isSettled !== false) {
    await origin.until(() => origin.frames.length >= 3, 'the settings');
    await session.known(1_000);
    origin.frames.length = 0;
    told.length = 0;
  }
  return {
    session,
    origin,
    told,
    breakOff: (error) => void near.destroy(error),
    [Symbol.dispose]: () => {
      session.close('the test is over');
      near.destroy();
      far.destroy();
    },
  };
}

/** Opens a stream and sends a whole request on it. */
function ask(session: Http2UpstreamSession, client: object = alice): [Http2Outbound, ResponseRecorder] {
  const outbound = session.open(client);
  const receiver = new ResponseRecorder();
  outbound.send(askedFor(h2RequestOf(getFields())), receiver);
  outbound.sendEnd(undefined);
  return [outbound, receiver];
}

const ended = endHeaders | endStream;
const ok = (id: number): Buffer => headersFrame(id, [':status', '200'], ended);

/** Has a whole exchange. */
async function use({ session, origin }: Lab, id: number, client: object = alice): Promise<void> {
  const [outbound, receiver] = ask(session, client);
  origin.send(ok(id));
  await vi.waitFor(() => expect(receiver.told).toContain('end'));
  outbound.release();
}

describe('room', () => {
  test('is there before the origin has said how much, and as much as it says then', async () => {
    using lab = await startLab({ isSettled: false, peer: { settings: { maxConcurrentStreams: 1 } } });
    const { session, told } = lab;
    expect([session.hasRoom, session.isUsable, session.isIdle]).toEqual([true, true, true]);
    ask(session);
    expect(session.hasRoom).toBe(true);
    await session.known(1_000);
    expect([session.hasRoom, session.isUsable, session.isIdle, told]).toEqual([false, true, false, ['room']]);
  });

  test('comes with the end of each stream, and the owner hears of it', async () => {
    using lab = await startLab({ peer: { settings: { maxConcurrentStreams: 1 } } });
    const [outbound] = ask(lab.session);
    expect(lab.session.hasRoom).toBe(false);
    outbound.abort();
    expect([lab.session.hasRoom, lab.session.isIdle, lab.told]).toEqual([true, true, ['room']]);
  });

  test('changes when the origin changes its mind', async () => {
    using lab = await startLab({ peer: { settings: { maxConcurrentStreams: 1 } } });
    ask(lab.session);
    lab.origin.send(settingsFrame({ maxConcurrentStreams: 2 }));
    await vi.waitFor(() => expect(lab.told).toEqual(['room']));
    expect(lab.session.hasRoom).toBe(true);
  });
});

test('a connection is new once, and knows when it became idle', async () => {
  using lab = await startLab();
  const { session } = lab;
  const before = session.idleSinceMs;
  const first = session.open(alice);
  expect([first.isReused, first.isBound]).toEqual([false, false]);
  first.release();
  expect(session.idleSinceMs).toBeGreaterThanOrEqual(before);
  expect(session.open(bob).isReused).toBe(true);
  expect([session.key, session.generation]).toEqual(['key', 3]);
});

describe('whose it is', () => {
  test('anybody’s, until somebody claims it; then that client’s alone', async () => {
    using lab = await startLab();
    const { session } = lab;
    expect([session.isFor(alice), session.isFor(bob), session.soleUser]).toEqual([true, true, undefined]);
    expect([session.claim(alice), session.claim(alice), session.claim(bob)]).toEqual([true, true, false]);
    expect([session.isFor(alice), session.isFor(bob), session.soleUser]).toEqual([true, false, alice]);
    expect(session.open(alice).isBound).toBe(true);
  });

  test('its only user may claim it, and nobody else', async () => {
    using lab = await startLab();
    await use(lab, 1, alice);
    expect([lab.session.claim(bob), lab.session.claim(alice)]).toEqual([false, true]);
  });

  test('of two users the one that came first may not claim it', async () => {
    using lab = await startLab();
    await use(lab, 1, alice);
    await use(lab, 3, bob);
    expect(lab.session.claim(alice)).toBe(false);
  });

  test('of two users the one that came last may not either', async () => {
    using lab = await startLab();
    ask(lab.session, alice);
    ask(lab.session, bob);
    expect(lab.session.claim(bob)).toBe(false);
  });

  const challenge = headersFrame(1, [':status', '401', 'www-authenticate', 'Negotiate'], ended);

  test('an origin that asks for NTLM or Negotiate makes it its client’s', async () => {
    using lab = await startLab();
    const [, receiver] = ask(lab.session, alice);
    lab.origin.send(challenge);
    await vi.waitFor(() => expect(receiver.told).toContain('end'));
    expect(lab.session.soleUser).toBe(alice);
  });

  test('such a challenge to one of several clients makes it nobody else’s', async () => {
    using lab = await startLab();
    const [, receiver] = ask(lab.session, alice);
    ask(lab.session, bob);
    lab.origin.send(challenge);
    await vi.waitFor(() => expect(receiver.told).toContain('end'));
    expect(lab.session.soleUser).not.toBe(bob);
  });
});

describe('a client that leaves and says why', () => {
  test('takes the connection with it, where it was its only user', async () => {
    using lab = await startLab();
    await use(lab, 1, alice);
    lab.session.leftBy(alice, h2Code.enhanceYourCalm);
    expect(await lab.origin.goawayCode()).toBe(h2Code.enhanceYourCalm);
    await lab.origin.ended();
    expect(lab.told).toEqual(['room', 'draining', 'gone']);
  });

  const others: readonly [string, (lab: Lab) => Promise<unknown>][] = [
    ['not where another one used it', async (lab) => [await use(lab, 1, bob), await use(lab, 3, alice)]],
    ['not where another one used it last', async (lab) => [await use(lab, 1, alice), await use(lab, 3, bob)]],
    ['not where a stream is open', async ({ session }) => ask(session, alice)],
    ['not where it never used it', async (lab) => use(lab, 1, bob)],
  ];
  test.each(others)('%s', async (_rule, prepare) => {
    using lab = await startLab();
    await prepare(lab);
    lab.session.leftBy(alice, h2Code.enhanceYourCalm);
    expect([lab.session.isUsable, lab.told.includes('draining')]).toEqual([true, false]);
  });
});

test('what came together is told before the relay may write: each stream once, in order', async () => {
  using lab = await startLab();
  const [, first] = ask(lab.session);
  const [, second] = ask(lab.session);
  lab.origin.send(
    headersFrame(1, [':status', '200']),
    headersFrame(3, [':status', '200']),
    dataFrame(1, 'abc', endStream),
  );
  await vi.waitFor(() => expect(first.told).toContain('flush'));
  expect(first.told.slice(0, 4)).toEqual(['head 200 chunked', 'data abc', 'end', 'flush']);
  expect(second.told).toEqual(['head 200 chunked', 'flush']);
});

/** Lets the origin break a rule while an exchange is under way. */
async function broken(lab: Lab): Promise<ResponseRecorder> {
  const [, receiver] = ask(lab.session);
  await lab.origin.until(() => lab.origin.frames.length > 0, 'the request');
  lab.origin.send(dataFrame(0, 'on no stream'));
  expect(await lab.origin.goawayCode()).toBe(h2Code.protocolError);
  return receiver;
}

describe('the end', () => {
  test('by us: no new streams, and the connection goes with its last one', async () => {
    using lab = await startLab();
    const { session, origin, told } = lab;
    const [outbound, receiver] = ask(session);
    session.retire();
    session.retire();
    expect([session.isUsable, session.hasRoom, told]).toEqual([false, false, ['draining']]);
    origin.send(ok(1));
    await vi.waitFor(() => expect(receiver.told).toContain('end'));
    outbound.release();
    await origin.ended();
    expect(told).toEqual(['draining', 'gone']);
    expect(origin.frames.map(frameText).slice(1)).toEqual(['GOAWAY 0 NO_ERROR']);
  });

  test('after many resets of ours: no new streams, and the origin hears of it when the last one has ended', async () => {
    using lab = await startLab();
    const { session, origin, told } = lab;
    const [kept, receiver] = ask(session);
    for (let i = 0; i < 100; i += 1) {
      expect(session.isUsable).toBe(true);
      session.open(alice).abort();
    }
    expect([session.isUsable, session.hasRoom]).toEqual([false, false]);
    expect(told.filter((word) => word === 'draining')).toHaveLength(1);
    origin.send(ok(1));
    await vi.waitFor(() => expect(receiver.told).toContain('end'));
    expect(origin.frames.map(frameText).filter((text) => text.startsWith('GOAWAY'))).toEqual([]);
    kept.release();
    await origin.ended();
    expect([told.at(-1), origin.frames.map(frameText).at(-1)]).toEqual(['gone', 'GOAWAY 0 NO_ERROR']);
  });

  test('by the origin in good order: the last one it knows goes on, the others may be repeated', async () => {
    using lab = await startLab();
    const { session, origin, told } = lab;
    const codes: number[] = [];
    session.onGoaway((code) => codes.push(code));
    session.onGoaway(() => codes.push(-1))();
    const [first, kept] = ask(session);
    const [, refused] = ask(session);
    origin.send(goawayFrame(1, h2Code.noError));
    await vi.waitFor(() => expect(refused.failure).toMatchObject({ isUnprocessed: true }));
    expect([session.isUsable, told.includes('draining'), codes, session.fault]).toEqual([
      false,
      true,
      [0],
      undefined,
    ]);
    origin.send(ok(1));
    await vi.waitFor(() => expect(kept.told).toContain('end'));
    first.release();
    await origin.ended();
    expect(told.at(-1)).toBe('gone');
  });

  const faults: readonly [string, (lab: Lab) => void, string][] = [
    [
      'by the origin, with a reason',
      ({ origin }) => {
        origin.send(goawayFrame(1, h2Code.internalError));
        origin.socket.end();
      },
      'upstream sent GOAWAY INTERNAL_ERROR',
    ],
    [
      'by an error of the transport',
      ({ breakOff }) => breakOff(new Error('read ECONNRESET')),
      'read ECONNRESET',
    ],
    ['by the origin, without a word', ({ origin }) => void origin.socket.end(), 'upstream connection closed'],
    ['now', ({ session }) => session.close('the proxy is shutting down'), 'the proxy is shutting down'],
  ];
  test.each(faults)('%s', async (_how, end, detail) => {
    using lab = await startLab();
    const [, receiver] = ask(lab.session);
    await lab.origin.until(() => lab.origin.frames.length > 0, 'the request');
    end(lab);
    await vi.waitFor(() => expect(receiver.told).toEqual(['failed']));
    expect(receiver.failure).toMatchObject({ reason: 'mitm_http_error', detail });
    await vi.waitFor(() => expect(lab.told.at(-1)).toBe('gone'));
    lab.session.close('again');
    expect(lab.told.filter((word) => word === 'gone')).toHaveLength(1);
    expect([lab.session.isUsable, lab.session.hasRoom]).toEqual([false, false]);
  });

  test('by a rule that the origin broke', async () => {
    using lab = await startLab();
    expect((await broken(lab)).told).toEqual(['failed']);
    expect(lab.session.fault).toMatch(/^upstream broke HTTP\/2: /);
  });

  test('by a rule that the origin broke: the exchanges say so', async () => {
    using lab = await startLab();
    expect((await broken(lab)).failure?.detail).toMatch(/^upstream broke HTTP\/2: /);
  });

  test('of an idle connection needs nothing more', async () => {
    using lab = await startLab();
    lab.origin.send(goawayFrame(0, h2Code.noError));
    await lab.origin.ended();
    expect(lab.told).toEqual(['draining', 'gone']);
  });
});

describe('in time', () => {
  const timers = ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout', 'performance'] as const;
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  /** From here on deadlines are those of the test's clock too. */
  const stopClock = (): void => {
    vi.useRealTimers();
    vi.useFakeTimers({ toFake: [...timers] });
  };

  test('silence makes it doubtful, and a sign of life trusted again', async () => {
    using lab = await startLab();
    expect(lab.session.isDoubtful).toBe(false);
    vi.advanceTimersByTime(1_001);
    expect(lab.session.isDoubtful).toBe(true);
    expect(await lab.session.prove()).toBe(true);
    expect([lab.session.isDoubtful, lab.origin.frames.map(frameText)]).toEqual([false, ['PING']]);
  });

  test('an origin that gives no sign of life is closed', async () => {
    using lab = await startLab({ peer: { isSilent: true } });
    stopClock();
    const [, receiver] = ask(lab.session);
    const proofs = [lab.session.prove(), lab.session.prove()];
    await vi.advanceTimersByTimeAsync(2_000);
    expect(await Promise.all(proofs)).toEqual([false, false]);
    expect(receiver.failure).toMatchObject({ detail: 'the origin did not answer a PING' });
    expect(lab.told).toContain('gone');
  });

  test('a connection that ends proves nothing', async () => {
    using lab = await startLab({ peer: { isSilent: true } });
    const proof = lab.session.prove();
    lab.session.close('over');
    expect(await proof).toBe(false);
  });

  test('its settings are awaited, but not for ever, and not of one that is gone', async () => {
    using lab = await startLab({ isSettled: false });
    const { session, told } = lab;
    stopClock();
    const isKnown = session.known(250);
    vi.advanceTimersByTime(250);
    expect(told).toEqual([]);
    await isKnown;
    const coming = session.known(250);
    session.close('over');
    await Promise.all([coming, session.known(250)]);
    expect(told).toEqual(['gone']);
  });

  test('an origin that is silent on a stream loses the stream, not the connection', async () => {
    using lab = await startLab({ config: { upstream: { h2HeaderStageTimeoutMs: 3_000 } } });
    const [, receiver] = ask(lab.session);
    vi.advanceTimersByTime(5_000);
    expect(receiver.failure).toMatchObject({ reason: 'stream_stage_timeout' });
    expect([lab.session.isUsable, lab.session.isIdle]).toEqual([true, true]);
  });

  test('an idle connection is let go after its time, a busy one is not', async () => {
    const config = { connectionPool: { idleTimeoutMs: 2_000 } };
    using idle = await startLab({ config });
    using busy = await startLab({ config });
    const outbound = busy.session.open(alice);
    outbound.send(askedFor(h2RequestOf(postFields())), new ResponseRecorder());
    await nextTurn();
    vi.advanceTimersByTime(6_000);
    expect([idle.session.isUsable, busy.session.isUsable]).toEqual([false, true]);
    await idle.origin.ended();
    expect(idle.told).toEqual(['draining', 'gone']);
  });
});
