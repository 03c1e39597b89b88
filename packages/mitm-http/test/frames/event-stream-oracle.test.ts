// Event-stream messages as the AWS SDK writes them, and as it refuses them.
import { EventStreamCodec, Int64 } from '@smithy/core/event-streams';
import type { MessageHeaders, MessageHeaderValue } from '@smithy/core/event-streams';
import fc from 'fast-check';
import { expect, test } from 'vitest';

import type { EventStreamHeader } from '../../src/frames/event-stream-headers.ts';
import { EventStreamParser } from '../../src/frames/event-stream.ts';
import { cuts, runFrames, runWhole } from './frame-runs.ts';

const codec = new EventStreamCodec(
  (bytes) => (typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString()),
  (text) => new Uint8Array(Buffer.from(text)),
);

const headerValue: fc.Arbitrary<MessageHeaderValue> = fc.oneof(
  fc.boolean().map((value) => ({ type: 'boolean' as const, value })),
  fc.integer({ min: -128, max: 127 }).map((value) => ({ type: 'byte' as const, value })),
  fc.integer({ min: -32_768, max: 32_767 }).map((value) => ({ type: 'short' as const, value })),
  fc.integer().map((value) => ({ type: 'integer' as const, value })),
  fc.maxSafeInteger().map((value) => ({ type: 'long' as const, value: Int64.fromNumber(value) })),
  fc.uint8Array({ maxLength: 300 }).map((value) => ({ type: 'binary' as const, value })),
  fc.string({ unit: 'grapheme' }).map((value) => ({ type: 'string' as const, value })),
  fc.date({ noInvalidDate: true }).map((value) => ({ type: 'timestamp' as const, value })),
  fc.uuid().map((value) => ({ type: 'uuid' as const, value })),
);

const message = fc.record({
  headers: fc.dictionary(fc.string({ minLength: 1, maxLength: 60 }), headerValue),
  body: fc.uint8Array({ maxLength: 600 }),
});

/** What the SDK was given, in our words. */
function expectedHeaders(headers: MessageHeaders): EventStreamHeader[] {
  return Object.entries(headers).map(([name, header]): EventStreamHeader => {
    if (header.type === 'long') {
      return { name, type: 'long', value: Buffer.from(header.value.bytes).readBigInt64BE() };
    }
    if (header.type === 'timestamp')
      return { name, type: 'timestamp', value: BigInt(header.value.getTime()) };
    return { name, ...header };
  });
}

test('what the SDK encodes is decoded to the same headers and payloads, however it is cut', () => {
  const streams = fc.array(message, { maxLength: 5 }).chain((messages) => {
    const body = Buffer.concat(messages.map((one) => codec.encode(one)));
    return cuts(body).map((pieces) => ({ messages, pieces }));
  });
  fc.assert(
    fc.property(streams, ({ messages, pieces }) => {
      const run = runFrames(new EventStreamParser(1 << 20), pieces);
      expect(run.errors).toEqual([]);
      expect(run.payloads).toEqual(messages.map(({ body }) => Buffer.from(body).toString('latin1')));
      expect(run.facts.map(({ headers }) => headers)).toEqual(
        messages.map(({ headers }) => expectedHeaders(headers)),
      );
    }),
    { numRuns: 300 },
  );
});

test('a message with a wrong bit is refused by both', () => {
  fc.assert(
    fc.property(message, fc.nat(), fc.integer({ min: 0, max: 7 }), (one, place, bit) => {
      const bytes = Buffer.from(codec.encode(one));
      const at = place % bytes.length;
      bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
      expect(() => codec.decode(bytes)).toThrow(Error);
      expect(runWhole(new EventStreamParser(1 << 20), bytes)).toMatchObject({
        payloads: [],
        errors: [expect.stringMatching(/^checksum_mismatch: /)],
      });
    }),
  );
});
