import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { CloseReason } from '../src/close-reason.ts';
import { EventBus } from '../src/event-bus.ts';
import { eventKinds, type EventKind, type MitmEvent } from '../src/events.ts';
import { asFlowId } from '../src/ids.ts';
import { Metrics } from '../src/metrics.ts';
import { contextOf, eventsOf } from './event-fixture.ts';

const context = contextOf(7);
const chunk = { bytes: 1 };
const ignore = () => undefined;
const failingSink = (text: string) => ({
  consume: () => {
    throw new Error(text);
  },
});

describe('what an event carries', () => {
  test('EL-04 header and payload arrive as one object', () => {
    const clock = { unixMs: () => 1_700_000_000_000, monotonicNs: () => 5n };
    const bus = new EventBus({ clock });
    const seen: MitmEvent[] = [];
    bus.subscribe({ consume: (event) => seen.push(event) });
    bus.emit('request_body_chunk', context, 3, { bytes: 42 });
    expect(seen).toEqual([
      {
        kind: 'request_body_chunk',
        sequenceId: 1,
        flowSequenceId: 3,
        context,
        occurredAtUnixMs: 1_700_000_000_000,
        occurredAtMonotonicNs: 0n,
        bytes: 42,
      },
    ]);
    expect(seen[0]?.context).toBe(context);
  });

  test('the parent is there only where it was given', () => {
    const [child, other] = eventsOf((bus) => {
      bus.emit('request_body_chunk', context, 1, chunk, asFlowId(2));
      bus.emit('request_body_chunk', context, 2, chunk);
    });
    expect(child?.parentFlowId).toBe(2);
    expect(other).not.toHaveProperty('parentFlowId');
  });

  test('the payload is not changed', () => {
    const payload = Object.freeze({ bytes: 1 });
    expect(eventsOf((bus) => bus.emit('request_body_chunk', context, 1, payload))).toHaveLength(1);
    expect(payload).toEqual({ bytes: 1 });
  });

  test('no listener can change the facts of the flow, which all its events share', () => {
    const [event] = eventsOf((bus) => bus.emit('connect_received', contextOf(8), 1, {}));
    expect(Object.isFrozen(event?.context)).toBe(true);
  });

  test('a listener gets the type of its kind', () => {
    const bus = new EventBus();
    const reasons: CloseReason[] = [];
    bus.on('stream_closed', (event) => void reasons.push(event.reasonCode));
    bus.emit('stream_closed', context, 1, { reasonCode: 'relay_eof' });
    expect(reasons).toEqual(['relay_eof']);
  });
});

describe('numbers and time', () => {
  test('sequence ids do not depend on who listens', () => {
    const bus = new EventBus();
    bus.emit('connect_received', context, 1, {});
    bus.emit('connect_received', context, 2, {});
    const seen: number[] = [];
    bus.on('connect_received', (event) => void seen.push(event.sequenceId));
    bus.emit('stream_closed', context, 3, { reasonCode: 'relay_eof' });
    bus.emit('connect_received', context, 1, {});
    expect(seen).toEqual([4]);
    expect(bus.lastSequenceId).toBe(4);
  });

  test('sequence ids and monotonic time rise strictly, even where the clock stands still or goes back', () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt({ min: -3n, max: 3n })), (steps) => {
        let now = 100n;
        const bus = new EventBus({ clock: { unixMs: () => 0, monotonicNs: () => now } });
        const seen: MitmEvent[] = [];
        bus.subscribe({ consume: (event) => seen.push(event) });
        for (const step of steps) {
          now += step;
          bus.emit('connect_received', context, 1, {});
        }
        for (const [index, event] of seen.entries()) {
          const before = seen[index - 1];
          expect(event.sequenceId).toBe(index + 1);
          expect(event.occurredAtMonotonicNs).toBeGreaterThan(before?.occurredAtMonotonicNs ?? -1n);
        }
      }),
    );
  });

  test('the clock is not read when nobody listens', () => {
    let readCount = 0;
    const read = () => (readCount += 1);
    const bus = new EventBus({ clock: { unixMs: read, monotonicNs: () => BigInt(read()) } });
    const readAtStart = readCount;
    bus.emit('connect_received', context, 1, {});
    expect(readCount).toBe(readAtStart);
  });
});

describe('who is called', () => {
  test('`on` until `off`, `once` once', () => {
    const bus = new EventBus();
    const calls: string[] = [];
    const always = () => void calls.push('on');
    const first = () => void calls.push('once');
    const removed = () => void calls.push('removed');
    bus.on('connect_received', always).once('connect_received', first).once('connect_received', removed);
    bus.off('connect_received', removed).off('connect_received', () => undefined);
    bus.emit('connect_received', context, 1, {});
    bus.emit('connect_received', context, 2, {});
    bus.off('connect_received', always);
    bus.emit('connect_received', context, 3, {});
    expect(calls).toEqual(['on', 'once', 'on']);
  });

  test('one function on two kinds is two registrations', () => {
    const bus = new EventBus();
    const kinds: EventKind[] = [];
    const listener = (event: MitmEvent) => void kinds.push(event.kind);
    bus.on('connect_received', listener).on('websocket_opened', listener).off('connect_received', listener);
    bus.emit('connect_received', context, 1, {});
    bus.emit('websocket_opened', context, 2, { relayMode: 'intercept' });
    expect(kinds).toEqual(['websocket_opened']);
  });

  test('`wants` follows listeners and sinks', () => {
    const bus = new EventBus();
    expect(bus.wants('sse_event')).toBe(false);
    bus.on('sse_event', ignore);
    expect(bus.wants('sse_event')).toBe(true);
    expect(bus.wants('stream_closed')).toBe(false);
    bus.off('sse_event', ignore);
    const unsubscribe = bus.subscribe({ consume: ignore });
    expect(eventKinds.every((kind) => bus.wants(kind))).toBe(true);
    unsubscribe();
    unsubscribe();
    expect(eventKinds.some((kind) => bus.wants(kind))).toBe(false);
  });

  test('EL-05 a sink that does nothing leaves everything as it was', () => {
    const bus = new EventBus();
    const unsubscribe = bus.subscribe({ consume: () => undefined });
    bus.emit('connect_received', context, 1, {});
    unsubscribe();
    expect(bus.listenerErrorCount).toBe(0);
    expect(bus.lastSequenceId).toBe(1);
  });

  test('two buses share nothing', () => {
    const events = eventsOf(() => new EventBus().emit('connect_received', context, 1, {}));
    expect(events).toEqual([]);
  });
});

describe('counting', () => {
  test('metrics count every event, listened to or not, and the errors of listeners', () => {
    const metrics = new Metrics();
    const bus = new EventBus({ metrics });
    bus.emit('stream_closed', context, 1, { reasonCode: 'blocked' });
    bus.subscribe(failingSink('a'));
    bus.emit('stream_closed', context, 1, { reasonCode: 'blocked' });
    expect(metrics.snapshot().closedByReason.blocked).toBe(2);
    expect(metrics.snapshot().listenerErrorCount).toBe(1);
  });

  test('a piece of a body takes its number, and is an event where someone listens', () => {
    const bus = new EventBus();
    const seen: MitmEvent[] = [];
    bus.on('response_body_chunk', (event) => void seen.push(event));
    bus.emitBytes('request_body_chunk', context, 1, 5);
    bus.emitBytes('response_body_chunk', context, 2, 7);
    expect(seen).toMatchObject([{ sequenceId: 2, flowSequenceId: 2, bytes: 7 }]);
  });
});

describe('order', () => {
  test('delivery is complete when emit returns, in the order of registration', () => {
    const bus = new EventBus();
    const calls: string[] = [];
    bus.subscribe({ consume: () => void calls.push('sink') });
    bus.on('connect_received', () => void calls.push('listener'));
    bus.emit('connect_received', context, 1, {});
    calls.push('returned');
    expect(calls).toEqual(['sink', 'listener', 'returned']);
  });

  test('an event emitted by a listener reaches all after the one that caused it', () => {
    const bus = new EventBus();
    const seen: number[] = [];
    bus.on('connect_received', () => {
      bus.emit('stream_closed', context, 2, { reasonCode: 'blocked' });
      bus.emit('stream_closed', contextOf(8), 2, { reasonCode: 'blocked' });
    });
    bus.subscribe({ consume: (event) => void seen.push(event.sequenceId) });
    bus.emit('connect_received', context, 1, {});
    expect(seen).toEqual([1, 2, 3]);
  });
});

describe('a failing listener disturbs nobody', () => {
  const failures: readonly (readonly [string, () => void | Promise<void>])[] = [
    [
      'throws',
      () => {
        throw new Error('no');
      },
    ],
    ['rejects', () => Promise.reject(new Error('no'))],
  ];

  test.each(failures)('one that %s is counted each time and reported once', async (_how, fail) => {
    const reports: string[] = [];
    const bus = new EventBus({ onListenerError: (error, kind) => reports.push(`${kind}: ${String(error)}`) });
    const seen: number[] = [];
    bus.on('connect_received', fail).on('stream_closed', fail);
    bus.subscribe({ consume: (event) => void seen.push(event.sequenceId) });
    bus.emit('connect_received', context, 1, {});
    bus.emit('stream_closed', context, 2, { reasonCode: 'blocked' });
    await Promise.resolve();
    expect(seen).toEqual([1, 2]);
    expect(bus.listenerErrorCount).toBe(2);
    expect(reports).toEqual(['connect_received: Error: no']);
  });

  test('each distinct listener is reported', () => {
    const reports: EventKind[] = [];
    const bus = new EventBus({ onListenerError: (_error, kind) => reports.push(kind) });
    bus.subscribe(failingSink('a'));
    bus.subscribe(failingSink('b'));
    bus.emit('connect_received', context, 1, {});
    bus.emit('connect_received', context, 1, {});
    expect(reports).toEqual(['connect_received', 'connect_received']);
    expect(bus.listenerErrorCount).toBe(4);
  });

  test('a reporter that throws is counted too, and emit still returns', () => {
    const bus = new EventBus({
      onListenerError: () => {
        throw new Error('reporter');
      },
    });
    bus.on('connect_received', () => {
      throw new Error('listener');
    });
    bus.emit('connect_received', context, 1, {});
    expect(bus.listenerErrorCount).toBe(2);
  });
});
