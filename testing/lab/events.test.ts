// The invariants pass on a sound list of events and fail on each way of breaking them.
import { expect, test } from 'vitest';

import { type EventLike, expectClosedOnce, expectOrdered, flowIdsOf, kindsOf } from './events.ts';

function event(
  sequenceId: number,
  [flowId, flowSequenceId]: readonly [number, number],
  kind: string,
  reasonCode?: string,
): EventLike {
  const common = {
    sequenceId,
    flowSequenceId,
    kind,
    context: { flowId },
    occurredAtMonotonicNs: BigInt(sequenceId),
  };
  return reasonCode === undefined ? common : { ...common, reasonCode };
}

const sound: readonly EventLike[] = [
  event(1, [1, 1], 'connect_received'),
  event(2, [2, 1], 'request_headers'),
  event(4, [1, 2], 'connect_decision'),
  event(5, [2, 2], 'stream_closed', 'mitm_http_completed'),
  event(6, [1, 3], 'stream_closed', 'relay_eof'),
];

test('a sound list passes both, and is told apart by flow', () => {
  expectOrdered(sound);
  expectClosedOnce(sound);
  expect(flowIdsOf(sound)).toEqual([1, 2]);
  expect(kindsOf(sound, 2)).toEqual(['request_headers', 'stream_closed']);
  expect(kindsOf(sound)).toHaveLength(5);
});

const disorders: readonly [string, readonly EventLike[], string][] = [
  ['nothing at all', [], 'no event'],
  ['a sequence that begins at 0', [event(0, [1, 1], 'a')], 'the sequence does not rise'],
  ['a repeated sequence', [event(1, [1, 1], 'a'), event(1, [1, 2], 'b')], 'the sequence does not rise at b'],
  ["a flow's sequence that repeats", [event(1, [1, 1], 'a'), event(2, [1, 1], 'b')], "the flow's sequence"],
  [
    'a clock that stands still',
    [event(1, [1, 1], 'a'), { ...event(2, [1, 2], 'b'), occurredAtMonotonicNs: 1n }],
    'the monotonic time does not rise at b',
  ],
];

test.each(disorders)('order (G1) refuses %s', (_name, events, message) => {
  expect(() => expectOrdered(events)).toThrow(message);
});

const badEnds: readonly [string, readonly EventLike[], string][] = [
  ['nothing at all', [], 'no event'],
  ['a flow without a close', [event(1, [3, 1], 'request_headers')], 'flow 3 closed 0 times: request_headers'],
  [
    'a flow closed twice',
    [event(1, [1, 1], 'stream_closed', 'blocked'), event(2, [1, 2], 'stream_closed', 'blocked')],
    'flow 1 closed 2 times',
  ],
  [
    'an event after the close',
    [event(1, [1, 1], 'stream_closed', 'blocked'), event(2, [1, 2], 'late')],
    'goes on after its close',
  ],
  ['an unknown reason', [event(1, [1, 1], 'stream_closed', 'because')], 'unknown reason, "because"'],
  ['a missing reason', [event(1, [1, 1], 'stream_closed')], 'unknown reason, undefined'],
];

test.each(badEnds)('one close (G2) refuses %s', (_name, events, message) => {
  expect(() => expectClosedOnce(events)).toThrow(message);
});

test('a caller may name the reasons itself', () => {
  const flood = [event(1, [1, 1], 'stream_closed', 'some_flood')];
  expect(() => expectClosedOnce(flood, ['some_flood'])).not.toThrow();
});
