// The fast way to a line is held against the plain one: they write the same for every event.
import fc from 'fast-check';
import { expect, test } from 'vitest';

import { deterministicRecord } from '../src/event-record.ts';
import type { MitmEvent } from '../src/events.ts';
import { asFlowId } from '../src/ids.ts';
import { indexRowHead } from '../src/index-row.ts';
import { LineEncoder } from '../src/line-encoder.ts';
import { redactionLevels } from '../src/redaction.ts';
import { contextOf, eventsOf } from './event-fixture.ts';
import { everyKind } from './every-kind.ts';

function expectSame(
  encoder: LineEncoder,
  event: MitmEvent,
  options: Parameters<typeof deterministicRecord>[1],
): void {
  const record = deterministicRecord(event, options);
  const { line, lineBytes, rowHead } = encoder.encode(event);
  expect(line).toBe(`${JSON.stringify(record)}\n`);
  expect(lineBytes).toBe(Buffer.byteLength(line));
  expect(rowHead).toBe(indexRowHead(record));
}

test.each(redactionLevels)('every kind is written as its record, withholding %s', (redaction) => {
  for (const includeData of [false, true]) {
    const options = { redaction, includeData };
    const encoder = new LineEncoder(options);
    for (const event of everyKind()) expectSame(encoder, event, options);
    // Once more, with what was worked out the first time.
    for (const event of everyKind()) expectSame(encoder, event, options);
  }
});

test('any text in any place', () => {
  const encoder = new LineEncoder();
  const text = fc.string({ unit: 'binary' });
  fc.assert(
    fc.property(
      text,
      text,
      text,
      fc.option(fc.nat(), { nil: undefined }),
      (target, host, authority, stream) => {
        const [event] = eventsOf((bus) =>
          bus.emit(
            'request_headers',
            contextOf(1, { serverHost: host }),
            1,
            { method: 'GET', target, version: 'HTTP/1.1', headerCount: 1, authority, http2StreamId: stream },
            asFlowId(7),
          ),
        );
        if (event === undefined) throw new Error('nothing was emitted');
        expectSame(encoder, event, {});
      },
    ),
  );
});

test('values that come time and again, ever new ones, and flows that take turns', () => {
  const encoder = new LineEncoder();
  const contexts = [
    contextOf(1),
    contextOf(2, { protocol: 'http2' }),
    contextOf(3, { serverHost: 'ö' }),
    contextOf(4, { protocol: 'websocket', clientAddr: 'unix:"' }),
  ];
  const events = eventsOf((bus) => {
    for (let turn = 0; turn < 200; turn += 1)
      bus.emit('request_headers', contexts[turn % contexts.length] ?? contextOf(5), turn, {
        method: turn % 3 === 0 ? 'GET' : 'POST',
        target: `/${turn % 7}?key=${turn % 5}`,
        version: 'HTTP/1.1',
        headerCount: turn % 50,
        authority: turn % 9 === 0 ? 'a\n' : 'a',
      });
  });
  expect(events).toHaveLength(200);
  for (const event of events) expectSame(encoder, event, {});
});

test('more sets of fields than are kept are written as well', () => {
  const encoder = new LineEncoder();
  for (let mask = 0; mask < 64; mask += 1) {
    const [event] = eventsOf((bus) =>
      bus.emit('connect_decision', contextOf(1), 1, {
        action: 'block',
        reason: 'r',
        ...(mask & 1 ? { effectiveAction: 'tunnel' } : {}),
        ...(mask & 2 ? { effectiveReason: 'x' } : {}),
        ...(mask & 4 ? { stage: 'request' } : {}),
        ...(mask & 8 ? { sni: 's' } : {}),
        ...(mask & 16 ? { authority: 'a' } : {}),
        ...(mask & 32 ? { overrideRuleId: undefined } : {}),
      }),
    );
    if (event === undefined) throw new Error('nothing was emitted');
    expectSame(encoder, event, {});
  }
});
