import { describe, expect, test } from 'vitest';

import { deterministicRecord } from '../src/event-record.ts';
import { parseEventRecord } from '../src/record-parser.ts';
import { everyKind } from './every-kind.ts';

test('every line that is written is read as its record, with its keys in order', () => {
  for (const event of everyKind()) {
    const line = JSON.stringify(deterministicRecord(event, { includeData: true }));
    expect(JSON.stringify(parseEventRecord(line))).toBe(line);
  }
});

describe('is no record', () => {
  const line: Record<string, unknown> = {
    schema: 'soth-mitm-event-log-v2',
    sequence_id: 1,
    flow_id: 1,
    flow_sequence_id: 1,
    kind: 'connect_received',
    protocol: 'tunnel',
    stream_key: 'flow:1:1',
    client_addr: '127.0.0.1:1',
    server_host: 'a.test',
    server_port: 443,
    attributes: { a: 'b' },
  };

  test('but the whole one is', () => {
    expect(parseEventRecord(JSON.stringify(line))).toEqual(line);
  });

  test.each(Object.keys(line))('one without %s', (key) => {
    const { [key]: _left, ...rest } = line;
    expect(parseEventRecord(JSON.stringify(rest))).toBeUndefined();
  });

  test.each([
    ['another schema', { schema: 'v3' }],
    ['a number as text', { sequence_id: '1' }],
    ['a number below 0', { flow_id: -1 }],
    ['a port with a fraction', { server_port: 1.5 }],
    ['a kind that is no text', { kind: 1 }],
    ['attributes in a list', { attributes: [] }],
    ['an attribute that is no text', { attributes: { a: 1 } }],
  ])('%s', (_what, change) => {
    expect(parseEventRecord(JSON.stringify({ ...line, ...change }))).toBeUndefined();
  });

  test.each(['', 'null', '[]', '7', '{"schema"'])('%j', (text) => {
    expect(parseEventRecord(text)).toBeUndefined();
  });
});
