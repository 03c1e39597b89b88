import { describe, expect, test } from 'vitest';

import { EventBus } from '../src/event-bus.ts';
import { deterministicRecord, type EventRecord } from '../src/event-record.ts';
import type { EventPayloads } from '../src/events.ts';
import { asFlowId } from '../src/ids.ts';
import { contextOf, eventsOf } from './event-fixture.ts';

function recordOf(emit: (bus: EventBus) => void) {
  const [event] = eventsOf(emit);
  if (event === undefined) throw new Error('nothing was emitted');
  return deterministicRecord(event);
}

const grpc = {
  grpcEventSequence: 2,
  grpcPath: '/pkg.Service/Call',
  grpcDetectionMode: 'content_type',
  statusCode: 200,
  headerCount: 1,
} as const satisfies EventPayloads['grpc_response_headers'];

const message: EventPayloads['sse_event'] = { sequenceNo: 4, dataLineCount: 1, dataLen: 6, data: 'secret' };

test('a record has its keys in the order of the format', () => {
  const record = recordOf((bus) =>
    bus.emit('connect_decision', contextOf(3), 2, {
      reason: 'default_intercept',
      action: 'intercept',
      overrideDisableH2: false,
      effectiveAction: undefined,
    }),
  );
  expect(JSON.stringify(record)).toBe(
    '{"schema":"soth-mitm-event-log-v2","sequence_id":1,"flow_id":3,"flow_sequence_id":2,"kind":"connect_decision",' +
      '"protocol":"http1","stream_key":"flow:3:2","client_addr":"127.0.0.1:50000","server_host":"api.example.test",' +
      '"server_port":443,"attributes":{"action":"intercept","override_disable_h2":"false","reason":"default_intercept"}}',
  );
});

function recordsAt(now: number): EventRecord[] {
  const bus = new EventBus({ clock: { unixMs: () => now, monotonicNs: () => BigInt(now) } });
  const records: EventRecord[] = [];
  bus.subscribe({ consume: (event) => records.push(deterministicRecord(event)) });
  for (const flow of [1, 2]) bus.emit('request_body_chunk', contextOf(flow), 1, { bytes: 5 });
  return records;
}

test('EL-01 records are equal when only the clocks differ', () => {
  expect(recordsAt(1)).toEqual(recordsAt(2_000_000));
  expect(recordsAt(1)).toHaveLength(2);
});

test('numbers and booleans become text, names snake case, in byte order', () => {
  const { attributes } = recordOf((bus) =>
    bus.emit('websocket_frame', contextOf(1), 1, {
      direction: 'client_to_server',
      frameKind: 'data',
      sequenceNo: 1,
      opcode: 1,
      opcodeLabel: 'text',
      fin: true,
      masked: true,
      payloadLen: 5,
      frameLen: 11,
    }),
  );
  expect(Object.entries(attributes)).toEqual([
    ['direction', 'client_to_server'],
    ['fin', 'true'],
    ['frame_kind', 'data'],
    ['frame_len', '11'],
    ['masked', 'true'],
    ['opcode', '1'],
    ['opcode_label', 'text'],
    ['payload_len', '5'],
    ['sequence_no', '1'],
  ]);
});

test('the parent of a flow is an attribute of its first event', () => {
  const record = recordOf((bus) =>
    bus.emit('request_body_chunk', contextOf(2), 1, { bytes: 1 }, asFlowId(1)),
  );
  expect(record.attributes).toEqual({ bytes: '1', parent_flow_id: '1' });
});

test('the text of a server-sent event is written only where that is asked for', () => {
  const [event] = eventsOf((bus) => bus.emit('sse_event', contextOf(1), 1, message));
  if (event === undefined) throw new Error('nothing was emitted');
  const lengths = { data_len: '6', data_line_count: '1', sequence_no: '4' };
  expect(deterministicRecord(event).attributes).toEqual(lengths);
  expect(deterministicRecord(event, { includeData: true }).attributes).toEqual({
    ...lengths,
    data: 'secret',
  });
});

describe('the stream key is the first of these that applies', () => {
  const turn = {
    turnId: 9,
    initiatedBy: 'client_to_server',
    firstFrameSequenceNo: 1,
    startedAtUnixMs: 0,
  } as const;
  const rows: readonly (readonly [string, (bus: EventBus) => void, string])[] = [
    [
      'the HTTP/2 stream',
      (bus) => bus.emit('sse_event', contextOf(1), 1, { ...message, http2StreamId: 5 }),
      'h2:5',
    ],
    ['the WebSocket turn', (bus) => bus.emit('websocket_turn_started', contextOf(1), 1, turn), 'ws_turn:9'],
    ['the message', (bus) => bus.emit('sse_event', contextOf(1), 1, message), 'sequence:4'],
    [
      'EL-02 the gRPC call and its step',
      (bus) => bus.emit('grpc_response_headers', contextOf(1), 1, grpc),
      'grpc:/pkg.Service/Call:2',
    ],
    ['the flow and its step', (bus) => bus.emit('connect_received', contextOf(8), 3, {}), 'flow:8:3'],
  ];

  test.each(rows)('%s', (_rule, emit, key) => {
    expect(recordOf(emit).stream_key).toBe(key);
  });

  test('a gRPC step without a path, as another engine may emit it', () => {
    const [event] = eventsOf((bus) => bus.emit('grpc_response_headers', contextOf(1), 1, grpc));
    if (event === undefined) throw new Error('nothing was emitted');
    expect(deterministicRecord(Object.assign(event, { grpcPath: undefined })).stream_key).toBe('grpc:2');
  });
});
