import fc from 'fast-check';
import { expect, test } from 'vitest';

import { indexHeader, indexRow, indexRowHead, parseIndexRow } from '../src/index-row.ts';
import { parseEventRecord } from '../src/record-parser.ts';

const record = {
  schema: 'soth-mitm-event-log-v2',
  sequence_id: 5,
  flow_id: 2,
  flow_sequence_id: 3,
  kind: 'stream_closed',
  protocol: 'http1',
  stream_key: 'flow:2:3',
  client_addr: 'c',
  server_host: 'h',
  server_port: 1,
} as const;
const place = { segment: 1, byteOffset: 240, lineBytes: 99 };

test('a row has the cells of the header, in its order', () => {
  expect(indexRow(indexRowHead(record), place)).toBe('5\t2\t3\tstream_closed\thttp1\tflow:2:3\t1\t240\t99\n');
  expect(indexHeader.split('\t')).toHaveLength(9);
});

test('whatever the stream key is, a row is read as it was written', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('\\', '\t', '\n', '\r', 't', 'n', 'r', 'ä') }),
      (streamKey) => {
        const row = indexRow(indexRowHead({ ...record, stream_key: streamKey }), place);
        expect(row.indexOf('\n')).toBe(row.length - 1);
        expect(parseIndexRow(row.slice(0, -1))).toEqual({
          sequenceId: 5,
          flowId: 2,
          flowSequenceId: 3,
          kind: 'stream_closed',
          protocol: 'http1',
          streamKey,
          ...place,
        });
      },
    ),
  );
});

test.each([
  ['the header', indexHeader],
  ['a torn row', '5\t2\t3\tstream_closed\thttp1\tflow:2:3\t1\t24'],
  ['a row with a cell too many', '5\t2\t3\tk\tp\tx\t1\t2\t3\t4'],
  ['a number that is none', '5\t2\t3\tk\tp\tx\t1\t-2\t3'],
  ['nothing', ''],
])('%s is no row', (_what, text) => {
  expect(parseIndexRow(text)).toBeUndefined();
});

test('a line of the log is no row either', () => {
  expect(parseIndexRow(JSON.stringify({ ...record, attributes: {} }))).toBeUndefined();
  expect(parseEventRecord(JSON.stringify({ ...record, attributes: {} }))).toEqual({
    ...record,
    attributes: {},
  });
});
