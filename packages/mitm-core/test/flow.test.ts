// A flow from its opening to its one close: its numbers, its children, and what may be reported when.
import fc from 'fast-check';
import { applicationProtocols } from 'mitm-http';
import { closeReasons, eventKinds } from 'mitm-observe';
import { describe, expect, test } from 'vitest';

import { expectClosedOnce, expectOrdered } from '../../../testing/lab/events.ts';
import { flowStates } from '../src/flow-state.ts';
import { planRoute } from '../src/route.ts';
import {
  openExchangeFlow,
  openJudgedFlow,
  samplePayloads,
  testConfig,
  testConnection,
  testEngine,
} from './engine-fixture.ts';

const target = { host: 'api.example.test', port: 443 };

describe('a flow from its opening on', () => {
  test('a connection’s own flow begins as an accepted tunnel to an unknown target', () => {
    const { engine, recorder, metrics } = testEngine();
    const flow = engine.openFlow({ connection: testConnection() });
    expect([flow.id, flow.state, flow.machine, flow.isClosed]).toEqual([1, 'accepted', 'unknown', false]);
    expect(flow.context).toEqual({
      flowId: 1,
      clientAddr: '127.0.0.1:50000',
      serverHost: '<unknown>',
      serverPort: 0,
      protocol: 'tunnel',
    });
    expect([recorder.events(), metrics.snapshot().activeFlows]).toEqual([[], 1]);
  });

  test('later events carry the target and the protocol, earlier ones keep theirs', () => {
    const { engine, recorder } = testEngine();
    const flow = engine.openFlow({ connection: testConnection() });
    flow.emit('connect_received', {});
    flow.nameTarget(target);
    flow.speak('http1');
    flow.emit('connect_decision', samplePayloads.connect_decision);
    expect(
      recorder.events().map(({ context }) => [context.serverHost, context.serverPort, context.protocol]),
    ).toEqual([
      ['<unknown>', 0, 'tunnel'],
      ['api.example.test', 443, 'http1'],
    ]);
  });

  test('saying again what it speaks changes nothing', () => {
    const flow = openJudgedFlow(testEngine().engine);
    const { context } = flow;
    flow.speak('http1');
    expect(flow.context).toBe(context);
  });

  test('its route is there once it has been planned', () => {
    const { engine } = testEngine();
    const flow = engine.openFlow({ connection: testConnection() });
    expect(() => flow.route).toThrow('no route yet');
    flow.route = planRoute(flow.config, target);
    expect(flow.route.target).toBe(target);
  });

  test('it keeps the configuration it was born with', () => {
    const { engine } = testEngine();
    const flow = engine.openFlow({ connection: testConnection() });
    const before = engine.config;
    engine.reload(testConfig({ maxFlowEventBacklog: 1 }));
    expect(flow.config).toBe(before);
    expect(flow.openChild({ state: 'tls_ready', protocol: 'http1' }).config).toBe(before);
  });
});

describe('numbers', () => {
  test('count within the flow and over all flows', () => {
    const { engine, recorder } = testEngine();
    const [a, b] = [openJudgedFlow(engine), openJudgedFlow(engine)];
    for (const flow of [a, b]) flow.emit('request_headers', samplePayloads.request_headers);
    for (const flow of [b, a]) flow.close('mitm_http_completed');
    const events = recorder.events();
    expect(events.map((event) => [event.sequenceId, event.context.flowId, event.flowSequenceId])).toEqual([
      [1, 1, 1],
      [2, 2, 1],
      [3, 2, 2],
      [4, 1, 2],
    ]);
    expectOrdered(events);
    expectClosedOnce(events);
  });

  test('are the same whether somebody listens or not', () => {
    const heard = testEngine();
    const unheard = testEngine({}, { isUnheard: true });
    for (const { engine } of [heard, unheard]) {
      const flow = openJudgedFlow(engine);
      flow.emit('request_headers', samplePayloads.request_headers);
      flow.emitBytes('request_body_chunk', 5);
      flow.emitBytes('response_body_chunk', 7);
      flow.close('mitm_http_completed');
    }
    expect(unheard.bus.lastSequenceId).toBe(4);
    expect(heard.bus.lastSequenceId).toBe(4);
    expect(unheard.metrics.snapshot()).toMatchObject({
      bytesFromClient: 5,
      bytesFromServer: 7,
      requestCount: 1,
    });
  });

  test('wants says for which kinds somebody listens', () => {
    const { engine, bus } = testEngine({}, { isUnheard: true });
    const flow = openJudgedFlow(engine);
    bus.on('sse_event', () => {});
    expect([flow.wants('sse_event'), flow.wants('request_headers')]).toEqual([true, false]);
  });
});

describe('children', () => {
  test('inherit connection, target, route and decision, and name their parent in their first event', () => {
    const { engine, recorder } = testEngine();
    const connection = testConnection();
    const parent = engine.openFlow({ connection });
    parent.nameTarget(target);
    parent.route = planRoute(parent.config, target);
    parent.decision = engine.decide(target);
    const child = parent.openChild({ state: 'tls_ready', protocol: 'http2' });
    expect(child).toMatchObject({ id: 2, parent, connection, state: 'tls_ready', decision: parent.decision });
    expect(child.route).toBe(parent.route);
    expect(child.context).toMatchObject({
      flowId: 2,
      serverHost: target.host,
      serverPort: 443,
      protocol: 'http2',
    });
    child.emit('request_headers', samplePayloads.request_headers);
    child.close('mitm_http_completed');
    parent.close('mitm_http_completed');
    expect(recorder.events().map((event) => [event.context.flowId, event.parentFlowId])).toEqual([
      [2, 1],
      [2, undefined],
      [1, undefined],
    ]);
  });

  test('a parent without a route hands on none, and what the child learns stays with it', () => {
    const { engine } = testEngine();
    const parent = engine.openFlow({ connection: testConnection() });
    const child = parent.openChild({ state: 'accepted', protocol: 'http1' });
    expect(() => child.route).toThrow('no route yet');
    child.route = planRoute(child.config, target);
    child.nameTarget(target);
    expect(() => parent.route).toThrow('no route yet');
    expect(parent.context.serverHost).toBe('<unknown>');
  });

  test('close for themselves', () => {
    const { engine, metrics } = testEngine();
    const child = openExchangeFlow(engine);
    child.close('client_aborted');
    expect([child.isClosed, child.parent?.isClosed]).toEqual([true, false]);
    expect(metrics.snapshot()).toMatchObject({ activeFlows: 1, flowCount: 1, maxActiveFlows: 2 });
  });
});

describe('close', () => {
  test.each(closeReasons)('reason %s reaches the event and the metrics', (reason) => {
    const { engine, recorder, metrics } = testEngine();
    openJudgedFlow(engine).close(reason);
    expect(recorder.events()).toEqual([
      expect.objectContaining({ kind: 'stream_closed', reasonCode: reason }),
    ]);
    expect(metrics.snapshot().closedByReason[reason]).toBe(1);
  });

  test('the first reason stands, and nothing is reported after it', () => {
    const { engine, recorder } = testEngine();
    const flow = openJudgedFlow(engine);
    flow.close('blocked', 'by rule');
    flow.close('relay_eof');
    flow.emit('request_headers', samplePayloads.request_headers);
    flow.note('tls_handshake_started', samplePayloads.tls_handshake_started);
    flow.emitBytes('request_body_chunk', 5);
    expect(recorder.kinds()).toEqual(['stream_closed']);
    expect(recorder.events()[0]).toMatchObject({ reasonCode: 'blocked', reasonDetail: 'by rule' });
    expect([flow.state, flow.isClosed, flow.bytesFromClient]).toEqual(['closed', true, 0]);
  });

  test('also for a listener that closes and reports on the same flow while it hears of the close', () => {
    const { engine, bus, recorder, metrics } = testEngine();
    const flow = openJudgedFlow(engine);
    bus.on('stream_closed', () => {
      flow.close('shutdown');
      flow.emit('request_headers', samplePayloads.request_headers);
    });
    flow.close('relay_eof');
    expect(recorder.kinds()).toEqual(['stream_closed']);
    expect(metrics.snapshot()).toMatchObject({ activeFlows: 0, flowCount: 1, invalidTransitionCount: 0 });
  });

  test('what was not said or counted is missing from the event', () => {
    const { engine, recorder } = testEngine();
    openJudgedFlow(engine).close('relay_eof');
    const [closed] = recorder.events();
    for (const field of ['reasonDetail', 'eventsDropped', 'bytesFromClient', 'bytesFromServer']) {
      expect(closed).toHaveProperty(field, undefined);
    }
  });

  test('tells the bytes of both sides as soon as one has any', () => {
    const { engine, recorder } = testEngine();
    const flow = openJudgedFlow(engine);
    flow.bytesFromServer = 9;
    flow.close('relay_eof');
    expect(recorder.events()[0]).toMatchObject({ bytesFromClient: 0, bytesFromServer: 9 });
  });

  test('AP-19 a reason that names a timeout is counted as one', () => {
    const { engine, metrics } = testEngine();
    openJudgedFlow(engine).close('upstream_connect_failed', 'timed out after 5 ms');
    openJudgedFlow(engine).close('stream_stage_timeout');
    expect(metrics.snapshot()).toMatchObject({
      upstreamConnectErrorCount: 1,
      upstreamTimeoutCount: 2,
      activeFlows: 0,
    });
  });
});

describe('the signal', () => {
  test('aborts when the flow closes', () => {
    const flow = openJudgedFlow(testEngine().engine);
    const { signal } = flow;
    expect([signal.aborted, flow.signal]).toEqual([false, signal]);
    flow.close('relay_eof');
    expect(signal.aborted).toBe(true);
  });

  test('read after the close, it has aborted', () => {
    const flow = openJudgedFlow(testEngine().engine);
    flow.close('relay_eof');
    expect(flow.signal.aborted).toBe(true);
  });
});

describe('an event out of place', () => {
  test('FS-06 is delivered, counted and logged; it ends the course of the flow, which still closes', () => {
    const { engine, recorder, metrics, logs } = testEngine();
    const flow = engine.openFlow({ connection: testConnection() });
    flow.emit('connect_decision', samplePayloads.connect_decision);
    expect(flow.state).toBe('stream_closing');
    flow.close('mitm_http_error');
    expect(recorder.kinds()).toEqual(['connect_decision', 'stream_closed']);
    expect(metrics.snapshot().invalidTransitionCount).toBe(1);
    expect(logs).toEqual([
      expect.objectContaining({
        flowId: 1,
        kind: 'connect_decision',
        state: 'accepted',
        msg: 'event out of place',
      }),
    ]);
  });

  test('a note has no place to be out of: it leaves the state alone', () => {
    const { engine, recorder, metrics } = testEngine();
    const flow = openExchangeFlow(engine);
    flow.emit('request_headers', samplePayloads.request_headers);
    flow.note('tls_handshake_failed', samplePayloads.tls_handshake_failed);
    expect(flow.state).toBe('protocol_active');
    expect(recorder.kinds()).toEqual(['request_headers', 'tls_handshake_failed']);
    expect(metrics.snapshot()).toMatchObject({ invalidTransitionCount: 0, tlsFailureCount: 1 });
  });
});

test('whatever is reported in whatever order, a flow never throws, stays in order and closes exactly once', () => {
  const step = fc.oneof(
    { weight: 20, arbitrary: fc.constantFrom(...eventKinds.filter((kind) => kind !== 'stream_closed')) },
    { weight: 3, arbitrary: fc.constantFrom('bytes', 'child', 'note') },
    { weight: 1, arbitrary: fc.constant('close') },
  );
  const start = fc.record({
    state: fc.constantFrom(...flowStates.filter((state) => state !== 'closed')),
    protocol: fc.constantFrom(...applicationProtocols),
  });
  fc.assert(
    fc.property(start, fc.array(step, { maxLength: 40 }), (init, steps) => {
      const { engine, recorder, metrics } = testEngine({ maxFlowEventBacklog: 8 });
      const flow = engine.openFlow({ connection: testConnection(), ...init });
      for (const kind of steps) {
        if (kind === 'close') flow.close('shutdown');
        else if (kind === 'bytes') flow.emitBytes('response_body_chunk', 1);
        else if (kind === 'note') flow.note('tls_handshake_started', samplePayloads.tls_handshake_started);
        else if (kind === 'child') flow.openChild(init).close('client_aborted');
        else {
          const known = eventKinds.find((one) => one === kind);
          if (known !== undefined) flow.emit(known, samplePayloads[known]);
        }
      }
      flow.close('mitm_http_completed');
      expectOrdered(recorder.events());
      expectClosedOnce(recorder.events());
      expect(metrics.snapshot().activeFlows).toBe(0);
    }),
  );
});
