import { describe, expect, expectTypeOf, test } from 'vitest';

import {
  chunkKinds,
  eventKinds,
  eventTable,
  isChunkKind,
  isEventKind,
  lifecycleKinds,
  type EventHeader,
  type EventPayloads,
  type MitmEvent,
} from '../src/events.ts';

test('the original kinds are unchanged, and two have joined', () => {
  expect(eventKinds.toSorted()).toEqual([
    'ca_rotation',
    'connect_decision',
    'connect_parse_failed',
    'connect_received',
    'decoder_failed',
    'grpc_request_headers',
    'grpc_response_headers',
    'grpc_response_trailers',
    'http3_passthrough',
    'request_body_chunk',
    'request_headers',
    'response_body_chunk',
    'response_headers',
    'sse_event',
    'stream_closed',
    'tls_backoff_started',
    'tls_handshake_failed',
    'tls_handshake_started',
    'tls_handshake_succeeded',
    'tls_learning_audit',
    'websocket_closed',
    'websocket_frame',
    'websocket_opened',
    'websocket_turn_completed',
    'websocket_turn_started',
  ]);
});

test.each(eventKinds)('%s is explained in one sentence', (kind) => {
  expect(eventTable[kind].meaning).toMatch(/^[A-Z].*\.$/);
});

test('kinds at the rate of chunks are those that come with pieces, messages and frames', () => {
  expect(chunkKinds).toEqual(['request_body_chunk', 'response_body_chunk', 'sse_event', 'websocket_frame']);
  expect([...chunkKinds, ...lifecycleKinds].toSorted()).toEqual(eventKinds.toSorted());
  expect(isChunkKind('sse_event')).toBe(true);
  expect(isChunkKind('stream_closed')).toBe(false);
});

test('only a kind of the table is a kind', () => {
  expect(isEventKind('stream_closed')).toBe(true);
  expect(isEventKind('toString')).toBe(false);
});

describe('types', () => {
  test('narrowing by kind gives the payload of that kind', () => {
    expectTypeOf<MitmEvent<'stream_closed'>['reasonCode']>().toEqualTypeOf<
      EventPayloads['stream_closed']['reasonCode']
    >();
    expectTypeOf<Extract<MitmEvent, { kind: 'request_body_chunk' }>['bytes']>().toEqualTypeOf<number>();
    expectTypeOf<MitmEvent>().toExtend<EventHeader>();
  });

  test('a kind without facts takes no fields', () => {
    expectTypeOf<object>().toExtend<EventPayloads['connect_received']>();
    expectTypeOf<{ host: string }>().not.toExtend<EventPayloads['connect_received']>();
  });
});
