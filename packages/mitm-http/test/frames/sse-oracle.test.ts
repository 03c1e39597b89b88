// Events as an event source client reads them: eventsource-parser on the same text.
import { createParser } from 'eventsource-parser';
import fc from 'fast-check';
import { expect, test } from 'vitest';

import { SseParser } from '../../src/frames/sse.ts';
import { cutBodies, runFrames } from './frame-runs.ts';

interface ClientEvent {
  readonly data: string;
  readonly event: string | undefined;
  readonly id: string | undefined;
}

/** Clients read text; the mark at its beginning is theirs to pass over. */
function readAsClient(body: Buffer): ClientEvent[] {
  const events: ClientEvent[] = [];
  const parser = createParser({ onEvent: ({ data, event, id }) => events.push({ data, event, id }) });
  parser.feed(new TextDecoder('utf-8', { ignoreBOM: true }).decode(body));
  return events;
}

function readFinished(pieces: readonly Buffer[]): ClientEvent[] {
  const run = runFrames(new SseParser(1 << 20), pieces);
  const events = run.payloads.map((payload, index) => ({
    data: Buffer.from(payload, 'latin1').toString(),
    event: run.facts[index]?.event,
    id: run.facts[index]?.id,
  }));
  return events.filter((_event, index) => run.facts[index]?.isPartial === false);
}

const parts = [
  'data: a',
  'data:b',
  'data:  c: d',
  'data',
  'datax: e',
  'data\u20ac',
  'event: x',
  'event',
  'event:',
  'id: 1',
  'id',
  'id: \u0000',
  'retry: 5',
  'retry: x',
  ': comment',
  'other: y',
  ' ',
  '\n',
  '\n\n',
  '\r',
  '\r\n',
  '\r\n\r\n',
  '\ufeff',
  '\u20ac',
  Buffer.from([0xff]),
  Buffer.from([0xe2, 0x82]),
];

test('the finished events are those of a client', () => {
  fc.assert(
    fc.property(cutBodies(parts, 40), ({ body, pieces }) => {
      expect(readFinished(pieces)).toEqual(readAsClient(body));
    }),
    { numRuns: 1000 },
  );
});
