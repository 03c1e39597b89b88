import { describe, expect, test } from 'vitest';

import type { FloodReason } from '../../src/h2/error-codes.ts';
import { defaultFloodLimits, FloodGuard } from '../../src/h2/floods.ts';
import type { FloodLimits } from '../../src/h2/floods.ts';
import type { SessionCase } from './session-case.ts';
import { ok, server } from './session-case.ts';
import {
  block,
  data,
  flags,
  frame,
  get,
  headers,
  ping,
  post,
  priority,
  reset,
  settings,
  windowUpdate,
} from './wire-frames.ts';

type Flood = readonly [
  name: string,
  reason: FloodReason,
  limits: Partial<FloodLimits>,
  before: readonly Buffer[],
  one: (index: number) => Buffer,
];

const idOf = (index: number): number => 2 * index + 1;
const wholeBlock = block(get);

const floods: readonly Flood[] = [
  [
    'a request and its reset',
    'rapid_reset',
    { maxResets: 8 },
    [],
    (i) => Buffer.concat([headers(idOf(i), get), reset(idOf(i), 8)]),
  ],
  [
    'a request that makes us reset it',
    'rapid_reset',
    { maxResets: 8 },
    [],
    (i) => headers(idOf(i), ['a', 'b']),
  ],
  [
    'a window that makes us reset it',
    'rapid_reset',
    { maxResets: 8 },
    [],
    (i) => Buffer.concat([headers(idOf(i), get), windowUpdate(idOf(i), 0)]),
  ],
  [
    'requests above the limit',
    'too_many_streams',
    { maxRefusedStreams: 8 },
    Array.from({ length: 4 }, (_, i) => headers(idOf(i), get)),
    (i) => headers(idOf(i + 4), get),
  ],
  ['SETTINGS', 'settings_flood', { maxSettingsFrames: 10 }, [], () => settings()],
  ['SETTINGS with ACK', 'settings_flood', { maxSettingsFrames: 10 }, [], () => frame(4, flags.ack, 0)],
  ['PING', 'ping_flood', { maxPings: 8 }, [], () => ping()],
  ['DATA with nothing', 'empty_data_flood', { maxEmptyDataFrames: 8 }, [headers(1, post)], () => data(1, '')],
  [
    'WINDOW_UPDATE of the connection',
    'window_update_flood',
    { maxWindowUpdates: 8 },
    [],
    () => windowUpdate(0, 1),
  ],
  [
    'WINDOW_UPDATE of a stream',
    'window_update_flood',
    { maxWindowUpdates: 8 },
    [headers(1, get)],
    () => windowUpdate(1, 1),
  ],
  ['PRIORITY', 'ignored_frame_flood', { maxIgnoredFrames: 8 }, [], (i) => priority(idOf(i), 0)],
  ['unknown frames', 'ignored_frame_flood', { maxIgnoredFrames: 8 }, [], () => frame(99, 0, 0)],
  [
    'PING that nobody takes the answers of',
    'control_queue_flood',
    { maxQueuedControlFrames: 8 },
    [],
    () => ping(),
  ],
];

// server() itself brings two SETTINGS frames, one of them with ACK.
const allowedCount = 8;

describe.each(floods)('%s: %s', (_name, reason, limits, before, one) => {
  function flooded(count: number): SessionCase {
    const made = server({ limits, maxConcurrentStreams: reason === 'too_many_streams' ? 4 : 128 }).feed(
      ...before,
    );
    for (let i = 0; i < count; i++) made.feed(one(i));
    return made;
  }

  test('up to the limit the session goes on', () => {
    const made = flooded(allowedCount);
    expect([made.session.isOver, made.failure]).toEqual([false, undefined]);
  });

  test('one more ends it with ENHANCE_YOUR_CALM and its reason', () => {
    const made = flooded(allowedCount + 1);
    expect(made.failure?.reason).toBe(reason);
    expect(made.sent().at(-1)).toMatch(/^GOAWAY \d+ ENHANCE_YOUR_CALM$/);
    expect([made.session.isOver, made.session.openCount]).toEqual([true, 0]);
  });
});

describe('a header block in pieces', () => {
  const limits = { maxContinuationFrames: 4 };

  test.each([
    ['as many frames as allowed', 4, undefined],
    ['one more', 5, 'continuation_flood'],
  ])('%s', (_rule, count, reason) => {
    const made = server({ limits });
    made.feed(frame(1, flags.endStream, 1, wholeBlock));
    for (let i = 1; i <= count; i++) made.feed(frame(9, i === count ? flags.endHeaders : 0, 1));
    expect(made.failure?.reason).toBe(reason);
    expect(made.streams.length).toBe(reason === undefined ? 1 : 0);
  });

  test.each([
    ['four times the list that we announce', 16_384, undefined],
    ['a byte more', 16_385, 'continuation_flood'],
  ])('%s', (_rule, bytes, reason) => {
    const made = server({ maxHeaderListBytes: 4096 });
    made.feed(frame(1, 0, 1, Buffer.alloc(8000)), frame(9, 0, 1, Buffer.alloc(bytes - 8000)));
    expect(made.failure?.reason).toBe(reason);
  });
});

describe('a peer that leaves no window', () => {
  test('is given its time, and any byte that goes starts it again', () => {
    const made = server({ limits: { zeroWindowMs: 1000 } });
    made.feed(settings([4, 0]), headers(1, get, true));
    made.stream().sendHead(ok, false);
    made.stream().sendData(Buffer.from('hello'));
    expect(made.session.tick(5000)).toBe(6000);
    expect(made.session.tick(5999)).toBe(6000);
    made.feed(windowUpdate(1, 1));
    expect(made.session.tick(6000)).toBe(7000);
    expect(made.failure).toBeUndefined();
    made.session.tick(7000);
    expect(made.failure?.reason).toBe('zero_window_stall');
    expect(made.told()).toContain('1 reset ENHANCE_YOUR_CALM by session');
  });

  test('is not to blame for a full socket of ours, or when nothing waits', () => {
    const made = server({ limits: { zeroWindowMs: 1000 } });
    made.feed(settings([4, 0]), headers(1, get, true));
    expect(made.session.tick(0)).toBe(Number.POSITIVE_INFINITY);
    made.stream().sendHead(ok, false);
    made.stream().sendData(Buffer.from('hello'));
    made.session.setCongested(true);
    expect([made.session.tick(0), made.session.tick(99_999)]).toEqual([
      Number.POSITIVE_INFINITY,
      Number.POSITIVE_INFINITY,
    ]);
  });
});

describe('what useful traffic allows', () => {
  const limits = { ...defaultFloodLimits, maxResets: 1, maxPings: 1, maxWindowUpdates: 1 };

  test('a reset for each stream that completed', () => {
    const guard = new FloodGuard(limits);
    guard.completedStreams = 1;
    expect([guard.countReset(), guard.countReset(), guard.countReset()]).toEqual([
      undefined,
      undefined,
      'rapid_reset',
    ]);
  });

  test('a PING for each DATA frame either way', () => {
    const guard = new FloodGuard(limits);
    guard.dataFramesReceived = 1;
    guard.dataFramesSent = 1;
    for (let i = 0; i < 3; i++) expect(guard.countPing()).toBeUndefined();
    expect(guard.countPing()).toBe('ping_flood');
  });

  test('ten WINDOW_UPDATE for each DATA frame that we sent', () => {
    const guard = new FloodGuard(limits);
    guard.dataFramesSent = 1;
    for (let i = 0; i < 11; i++) expect(guard.countWindowUpdate()).toBeUndefined();
    expect(guard.countWindowUpdate()).toBe('window_update_flood');
  });
});

test('a reset of what was answered in full is nobody’s waste', () => {
  const made = server({ limits: { maxResets: 1 } });
  made.onRequest = (stream) => stream.sendHead([':status', '413'], true);
  for (let i = 0; i < 9; i++) made.feed(headers(idOf(i), post), reset(idOf(i), 0));
  expect(made.failure).toBeUndefined();
});

test('a span forgets the one before', () => {
  const guard = new FloodGuard({ ...defaultFloodLimits, spanMs: 100, maxSettingsFrames: 1 });
  guard.roll(0);
  expect([guard.countSettings(), guard.countSettings()]).toEqual([undefined, 'settings_flood']);
  guard.roll(99);
  expect(guard.countSettings()).toBe('settings_flood');
  guard.roll(100);
  expect(guard.countSettings()).toBeUndefined();
});

test('by default a hundred cancelled streams and a window of pings per span are nobody’s flood', () => {
  const made = server();
  for (let i = 0; i < 100; i++)
    made.feed(headers(idOf(i), get), reset(idOf(i), 8), ping(), windowUpdate(0, 1));
  expect(made.failure).toBeUndefined();
});
