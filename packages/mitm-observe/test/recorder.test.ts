import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { EventBus } from '../src/event-bus.ts';
import type { MitmEvent } from '../src/events.ts';
import { EventRecorder } from '../src/recorder.ts';
import { contextOf } from './event-fixture.ts';

function recording(capacity?: number): { bus: EventBus; recorder: EventRecorder } {
  const recorder = new EventRecorder(capacity === undefined ? {} : { capacity });
  const bus = new EventBus();
  bus.subscribe(recorder);
  return { bus, recorder };
}

const received = (bus: EventBus, flow = 1) => bus.emit('connect_received', contextOf(flow), 1, {});
const closed = (bus: EventBus, flow = 1) =>
  bus.emit('stream_closed', contextOf(flow), 2, { reasonCode: 'relay_eof' });
const idsOf = (events: readonly MitmEvent[]) => events.map((event) => event.sequenceId);

describe('what is kept', () => {
  test('EL-06 events in the order of their sequence ids', () => {
    const { bus, recorder } = recording();
    received(bus, 1);
    received(bus, 2);
    closed(bus, 1);
    expect(idsOf(recorder.events())).toEqual([1, 2, 3]);
    expect(recorder.kinds()).toEqual(['connect_received', 'connect_received', 'stream_closed']);
    expect(idsOf(recorder.ofFlow(1))).toEqual([1, 3]);
    expect(recorder.ofFlow(3)).toEqual([]);
  });

  test('EL-07 `after` gives ids that are strictly greater', () => {
    const { bus, recorder } = recording();
    for (let index = 0; index < 3; index += 1) received(bus);
    expect(idsOf(recorder.after(1))).toEqual([2, 3]);
    expect(recorder.after(3)).toEqual([]);
  });

  test('the last events up to the capacity, with a count of those before', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 0, max: 20 }), (capacity, count) => {
        const { bus, recorder } = recording(capacity);
        for (let index = 0; index < count; index += 1) received(bus);
        const dropped = Math.max(count - capacity, 0);
        expect(recorder.droppedCount).toBe(dropped);
        expect(idsOf(recorder.events())).toEqual(
          Array.from({ length: count - dropped }, (_, at) => dropped + at + 1),
        );
      }),
    );
  });

  test('clear forgets everything', () => {
    const { bus, recorder } = recording(2);
    for (let index = 0; index < 3; index += 1) received(bus);
    recorder.clear();
    expect(recorder.droppedCount).toBe(0);
    received(bus);
    expect(idsOf(recorder.events())).toEqual([4]);
  });

  test.each([0, -1, 1.5, Number.NaN])('a capacity of %s is refused', (capacity) => {
    expect(() => new EventRecorder({ capacity })).toThrow(RangeError);
  });
});

describe('waiting for an event', () => {
  test('that is there already', async () => {
    const { bus, recorder } = recording();
    closed(bus);
    expect((await recorder.waitFor('stream_closed', 1000)).reasonCode).toBe('relay_eof');
  });

  test('that comes later, each waiter for its own', async () => {
    const { bus, recorder } = recording();
    const ofKind = recorder.waitFor('stream_closed', 1000);
    const ofFlow = recorder.waitFor((event) => event.context.flowId === 2, 1000);
    received(bus, 2);
    closed(bus, 1);
    expect((await ofKind).sequenceId).toBe(2);
    expect((await ofFlow).sequenceId).toBe(1);
  });

  test('that does not come ends with what was seen', async () => {
    const { bus, recorder } = recording();
    received(bus);
    await expect(recorder.waitFor('stream_closed', 5)).rejects.toThrow(
      /no stream_closed within 5 ms.*connect_received/,
    );
    recorder.clear();
    await expect(recorder.waitFor(() => false, 5)).rejects.toThrow(/no matching event.*nothing/);
  });
});
