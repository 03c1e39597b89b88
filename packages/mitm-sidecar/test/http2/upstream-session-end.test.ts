// How a connection to an origin ends: by whom, in which order, and after how long.
import { h2Code } from 'mitm-http';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { dataFrame, goawayFrame } from '../../../../testing/lab/h2-frames.ts';
import { frameText } from '../frame-text.ts';
import { askedFor, h2RequestOf, postFields } from '../messages.ts';
import { ResponseRecorder } from '../recorders.ts';
import { nextTurn } from '../streams.ts';
import { alice, ask, ok, type SessionLab, startSession } from './upstream-session-lab.ts';

/** Lets the origin break a rule while an exchange is under way. */
async function broken(lab: SessionLab): Promise<ResponseRecorder> {
  const [, receiver] = ask(lab.session);
  await lab.origin.until(() => lab.origin.frames.length > 0, 'the request');
  lab.origin.send(dataFrame(0, 'on no stream'));
  expect(await lab.origin.goawayCode()).toBe(h2Code.protocolError);
  return receiver;
}

describe('the end', () => {
  test('by us: no new streams, and the connection goes with its last one', async () => {
    using lab = await startSession();
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
    using lab = await startSession();
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
    using lab = await startSession();
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

  const faults: readonly [string, (lab: SessionLab) => void, string][] = [
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
    using lab = await startSession();
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
    using lab = await startSession();
    expect((await broken(lab)).told).toEqual(['failed']);
    expect(lab.session.fault).toMatch(/^upstream broke HTTP\/2: /);
  });

  test('by a rule that the origin broke: the exchanges say so', async () => {
    using lab = await startSession();
    expect((await broken(lab)).failure?.detail).toMatch(/^upstream broke HTTP\/2: /);
  });

  test('of an idle connection needs nothing more', async () => {
    using lab = await startSession();
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
    using lab = await startSession();
    expect(lab.session.isDoubtful).toBe(false);
    vi.advanceTimersByTime(1_001);
    expect(lab.session.isDoubtful).toBe(true);
    expect(await lab.session.prove()).toBe(true);
    expect([lab.session.isDoubtful, lab.origin.frames.map(frameText)]).toEqual([false, ['PING']]);
  });

  test('an origin that gives no sign of life is closed', async () => {
    using lab = await startSession({ peer: { isSilent: true } });
    stopClock();
    const [, receiver] = ask(lab.session);
    const proofs = [lab.session.prove(), lab.session.prove()];
    await vi.advanceTimersByTimeAsync(2_000);
    expect(await Promise.all(proofs)).toEqual([false, false]);
    expect(receiver.failure).toMatchObject({ detail: 'the origin did not answer a PING' });
    expect(lab.told).toContain('gone');
  });

  test('a connection that ends proves nothing', async () => {
    using lab = await startSession({ peer: { isSilent: true } });
    const proof = lab.session.prove();
    lab.session.close('over');
    expect(await proof).toBe(false);
  });

  test('its settings are awaited, but not for ever, and not of one that is gone', async () => {
    using lab = await startSession({ isSettled: false });
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
    using lab = await startSession({ config: { upstream: { h2HeaderStageTimeoutMs: 3_000 } } });
    const [, receiver] = ask(lab.session);
    vi.advanceTimersByTime(5_000);
    expect(receiver.failure).toMatchObject({ reason: 'stream_stage_timeout' });
    expect([lab.session.isUsable, lab.session.isIdle]).toEqual([true, true]);
  });

  test('an idle connection is let go after its time, a busy one is not', async () => {
    const config = { connectionPool: { idleTimeoutMs: 2_000 } };
    using idle = await startSession({ config });
    using busy = await startSession({ config });
    const outbound = busy.session.open(alice);
    outbound.send(askedFor(h2RequestOf(postFields())), new ResponseRecorder());
    await nextTurn();
    vi.advanceTimersByTime(6_000);
    expect([idle.session.isUsable, busy.session.isUsable]).toEqual([false, true]);
    await idle.origin.ended();
    expect(idle.told).toEqual(['draining', 'gone']);
  });
});
