// What a flow reports for every piece of a body or stream, how much of it, and what it measures.
import { describe, expect, test, vi } from 'vitest';

import type { Flow } from '../src/flow.ts';
import { openJudgedFlow, samplePayloads, testConnection, testEngine } from './engine-fixture.ts';

describe('pieces of bodies', () => {
  test('are counted by their side; an empty one is nothing', () => {
    const { engine, recorder } = testEngine();
    const flow = openJudgedFlow(engine);
    flow.emitBytes('request_body_chunk', 5);
    flow.emitBytes('request_body_chunk', 0);
    flow.emitBytes('response_body_chunk', 7);
    expect([flow.bytesFromClient, flow.bytesFromServer]).toEqual([5, 7]);
    expect(
      recorder.events().map((event) => [event.kind, 'bytes' in event ? event.bytes : undefined]),
    ).toEqual([
      ['request_body_chunk', 5],
      ['response_body_chunk', 7],
    ]);
  });

  test('beyond the limit of the flow they are only counted; everything else is still reported', () => {
    const { engine, recorder, metrics } = testEngine({ maxFlowEventBacklog: 3 });
    const flow = openJudgedFlow(engine);
    flow.emit('request_headers', samplePayloads.request_headers);
    for (let i = 0; i < 10; i += 1) flow.emitBytes('request_body_chunk', 10);
    flow.emit('response_headers', samplePayloads.response_headers);
    flow.emitBytes('response_body_chunk', 1);
    flow.close('mitm_http_completed');
    const events = recorder.events();
    expect(events.map(({ kind }) => kind)).toEqual([
      'request_headers',
      'request_body_chunk',
      'request_body_chunk',
      'response_headers',
      'stream_closed',
    ]);
    expect(events.map(({ flowSequenceId }) => flowSequenceId)).toEqual([1, 2, 3, 4, 5]);
    expect(events.at(-1)).toMatchObject({ eventsDropped: 9, bytesFromClient: 100, bytesFromServer: 1 });
    expect(metrics.snapshot()).toMatchObject({ eventsDroppedCount: 9, bytesFromClient: 100 });
  });

  test('the limit is each flow’s own', () => {
    const { engine, recorder } = testEngine({ maxFlowEventBacklog: 1 });
    for (const flow of [openJudgedFlow(engine), openJudgedFlow(engine)])
      flow.emitBytes('request_body_chunk', 1);
    expect(recorder.kinds()).toEqual(['request_body_chunk', 'request_body_chunk']);
  });
});

const frame = (flow: Flow): void => {
  if (flow.admits('websocket_frame')) flow.emit('websocket_frame', samplePayloads.websocket_frame);
};

describe('events that may come with every piece of a stream', () => {
  test('are left out beyond the limit of the flow, and counted; all others are told', () => {
    const { engine, recorder, metrics } = testEngine({ maxFlowEventBacklog: 3 });
    const flow = openJudgedFlow(engine);
    flow.emit('websocket_opened', samplePayloads.websocket_opened);
    for (let count = 0; count < 6; count += 1) frame(flow);
    // Whoever does not ask first is held to the limit too.
    flow.emit('sse_event', samplePayloads.sse_event);
    flow.emit('websocket_closed', samplePayloads.websocket_closed);
    flow.close('websocket_completed');
    const kinds = [
      'websocket_opened',
      'websocket_frame',
      'websocket_frame',
      'websocket_closed',
      'stream_closed',
    ];
    expect(recorder.kinds()).toEqual(kinds);
    expect(recorder.events().map(({ flowSequenceId }) => flowSequenceId)).toEqual([1, 2, 3, 4, 5]);
    expect(recorder.events().at(-1)).toMatchObject({ eventsDropped: 5 });
    expect(metrics.snapshot().eventsDroppedCount).toBe(5);
  });

  test.each([1, 2, 8])(
    'are numbered the same if nobody listens, with a limit of %i',
    (maxFlowEventBacklog) => {
      const played = [true, false].map((isHeard) => {
        const { engine, recorder, metrics } = testEngine({ maxFlowEventBacklog });
        const flow = openJudgedFlow(engine);
        flow.emit('websocket_opened', samplePayloads.websocket_opened);
        if (!isHeard) vi.spyOn(engine.bus, 'wants').mockReturnValue(false);
        for (let count = 0; count < 4; count += 1) frame(flow);
        flow.close('websocket_completed');
        frame(flow);
        const { sequenceId, flowSequenceId } = recorder.events().at(-1) ?? {};
        return [sequenceId, flowSequenceId, flow.state, metrics.snapshot().eventsDroppedCount];
      });
      expect(played[1]).toEqual(played[0]);
    },
  );
});

describe('what is measured', () => {
  test('connections and requests by how long they were open; a WebSocket is neither', () => {
    const { engine, metrics } = testEngine();
    const connection = openJudgedFlow(engine);
    for (const protocol of ['http1', 'http2', 'websocket'] as const)
      connection.openChild({ state: 'tls_ready', protocol }).close('mitm_http_completed');
    connection.close('mitm_http_completed');
    const { durations } = metrics.snapshot();
    expect([durations.connection.count, durations.request.count]).toEqual([1, 2]);
  });

  test('a client that is refused at the door is a flow, and says nothing about durations', () => {
    const { engine, recorder, metrics } = testEngine();
    engine.refuse(testConnection(), 'capacity_denied', 'no room');
    expect(recorder.events()).toMatchObject([
      { kind: 'stream_closed', flowSequenceId: 1, reasonCode: 'capacity_denied', reasonDetail: 'no room' },
    ]);
    expect(metrics.snapshot()).toMatchObject({
      activeFlows: 0,
      flowCount: 1,
      closedByReason: { capacity_denied: 1 },
      totalConnections: 0,
      invalidTransitionCount: 0,
      durations: { connection: { count: 0 } },
    });
  });

  test('handshakes that were completed, by their side', () => {
    const { engine, metrics } = testEngine();
    const flow = openJudgedFlow(engine);
    flow.emit('tls_handshake_started', { peer: 'upstream' });
    flow.emit('tls_handshake_started', { peer: 'downstream' });
    flow.emit('tls_handshake_succeeded', { peer: 'downstream' });
    flow.emit('tls_handshake_failed', samplePayloads.tls_handshake_failed);
    flow.note('tls_handshake_started', { peer: 'upstream' });
    flow.note('tls_handshake_succeeded', { peer: 'upstream' });
    const { durations } = metrics.snapshot();
    expect([durations.clientHandshake.count, durations.originHandshake.count]).toEqual([1, 1]);
  });
});
