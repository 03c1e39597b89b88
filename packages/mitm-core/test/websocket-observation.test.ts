import fc from 'fast-check';
// What events and chunks tell of a WebSocket, from the bytes that passed, however they are cut.
import type { WebSocketAgreement } from 'mitm-http';
import type { MitmEvent } from 'mitm-observe';
import { afterEach, describe, expect, test, vi } from 'vitest';

import { chunksOf, clientFrame, Deflater, frame } from '../../../testing/lab/websocket-wire.ts';
import type { Direction } from '../src/messages.ts';
import { WebSocketObservation } from '../src/websocket-observation.ts';
import { openExchangeFlow, testEngine } from './engine-fixture.ts';

const plain: WebSocketAgreement = {
  protocol: undefined,
  extensions: [],
  deflate: undefined,
  hasUnknownExtension: false,
};
const compressed: WebSocketAgreement = {
  protocol: 'chat',
  extensions: [{ name: 'permessage-deflate', parameters: [['client_no_context_takeover', undefined]] }],
  deflate: {
    serverNoContextTakeover: false,
    clientNoContextTakeover: true,
    serverMaxWindowBits: 15,
    clientMaxWindowBits: 15,
  },
  hasUnknownExtension: false,
};

interface Delivered {
  readonly direction: Direction;
  readonly text: string;
  readonly kind: string;
  readonly facts: Record<string, unknown>;
}

function observe(
  agreement = plain,
  options: { fields?: object; isWanted?: boolean; isUnheard?: boolean } = {},
) {
  const { engine, recorder } = testEngine(options.fields ?? {}, { isUnheard: options.isUnheard ?? false });
  const flow = openExchangeFlow(engine);
  const messages: Delivered[] = [];
  const observation = new WebSocketObservation(
    flow,
    agreement,
    options.isWanted === false
      ? undefined
      : (direction, payload, facts) =>
          messages.push({
            direction,
            text: Buffer.from(payload).toString('latin1'),
            kind: facts.kind,
            facts: { ...facts },
          }),
  );
  const up = (bytes: Buffer): void => {
    flow.bytesFromClient += bytes.length;
    observation.push('client_to_server', bytes);
  };
  const down = (bytes: Buffer): void => {
    flow.bytesFromServer += bytes.length;
    observation.push('server_to_client', bytes);
  };
  const of = (kind: string): MitmEvent[] => recorder.events().filter((event) => event.kind === kind);
  return { observation, flow, messages, up, down, of, recorder };
}

afterEach(() => {
  vi.useRealTimers();
});

const close1000 = Buffer.from([0x03, 0xe8, ...Buffer.from('bye')]);

describe('the opening', () => {
  test.each([
    ['of nothing but frames', plain, undefined, undefined],
    ['with a subprotocol and extensions', compressed, 'chat', 'permessage-deflate'],
  ])('%s is one event', (_what, agreement, subprotocol, extensions) => {
    const { of } = observe(agreement);
    expect(of('websocket_opened')).toMatchObject([{ relayMode: 'intercept', subprotocol, extensions }]);
  });
});

describe('a frame', () => {
  test('is an event with its head, numbered over both directions', () => {
    const { up, down, of } = observe();
    up(clientFrame({ payload: 'hello' }));
    down(frame({ payload: Buffer.alloc(200), opcode: 2, isFinal: false }));
    down(frame({ payload: 'p', opcode: 9 }));
    down(frame({ opcode: 0 }));
    expect(of('websocket_frame')).toMatchObject([
      {
        direction: 'client_to_server',
        frameKind: 'data',
        sequenceNo: 1,
        opcode: 1,
        opcodeLabel: 'text',
        fin: true,
        masked: true,
        payloadLen: 5,
        frameLen: 11,
      },
      {
        direction: 'server_to_client',
        sequenceNo: 2,
        opcodeLabel: 'binary',
        fin: false,
        masked: false,
        payloadLen: 200,
        frameLen: 204,
      },
      { sequenceNo: 3, frameKind: 'control', opcodeLabel: 'ping', payloadLen: 1 },
      { sequenceNo: 4, frameKind: 'data', opcodeLabel: 'continuation', fin: true, payloadLen: 0 },
    ]);
  });

  test('is counted where nobody listens, and its message is delivered', () => {
    const { up, messages, recorder } = observe(plain, { isUnheard: true });
    up(clientFrame({ payload: 'hello' }));
    expect([messages.length, recorder.events().length]).toEqual([1, 0]);
  });
});

describe('a message', () => {
  test('is joined from its fragments and unmasked; pings among them are none of it, and a close frame is one', () => {
    const { up, messages } = observe();
    up(clientFrame({ payload: 'a', isFinal: false }));
    up(clientFrame({ payload: 'ping', opcode: 9 }));
    up(clientFrame({ payload: 'b', opcode: 0, isFinal: false }));
    up(clientFrame({ payload: 'c', opcode: 0 }));
    up(clientFrame({ payload: close1000, opcode: 8 }));
    expect(messages.map(({ text, kind }) => [kind, text])).toEqual([
      ['websocket_text', 'abc'],
      ['websocket_close', close1000.toString('latin1')],
    ]);
    expect(messages[0]?.facts).toMatchObject({
      frameCount: 3,
      wireBytes: 3,
      messageBytes: 3,
      isCompressed: false,
    });
    expect(messages[1]?.facts).toMatchObject({ code: 1000, reason: 'bye' });
  });

  test('is inflated by what was agreed on for its direction', async () => {
    const { up, down, messages } = observe(compressed);
    const client = new Deflater(false);
    const server = new Deflater(true);
    for (const text of ['hello hello hello', 'hello hello hello']) {
      up(clientFrame({ payload: await client.deflate(text), rsv: 4 }));
      down(frame({ payload: await server.deflate(text), rsv: 4 }));
    }
    expect(messages.map(({ direction, text }) => [direction, text])).toEqual([
      ['client_to_server', 'hello hello hello'],
      ['server_to_client', 'hello hello hello'],
      ['client_to_server', 'hello hello hello'],
      ['server_to_client', 'hello hello hello'],
    ]);
    const sizes = messages.map(({ facts }) => [facts['isCompressed'], facts['messageBytes']]);
    expect(sizes).toEqual(Array.from({ length: 4 }, () => [true, 17]));
  });

  test('beyond body.maxDecoderBytes is shown by its beginning', () => {
    const { down, messages } = observe(plain, { fields: { body: { maxDecoderBytes: 4 } } });
    down(frame({ payload: 'too long' }));
    down(frame({ payload: 'next' }));
    expect(messages.map(({ text }) => text)).toEqual(['too ', 'next']);
    expect(messages[0]?.facts).toMatchObject({ issue: 'too_large', messageBytes: 8 });
  });

  test('of an unknown extension is as it came, and marked', () => {
    const { up, messages } = observe({ ...plain, hasUnknownExtension: true });
    up(clientFrame({ payload: 'x', rsv: 2 }));
    expect(messages).toMatchObject([{ text: 'x', facts: { issue: 'unknown_extension' } }]);
  });

  test('is not read where nobody wants it; the frame is told', () => {
    const { up, messages, of } = observe(plain, { isWanted: false });
    up(clientFrame({ payload: 'hello' }));
    expect([messages.length, of('websocket_frame').length]).toEqual([0, 1]);
  });
});

test('law: however the bytes are cut, events and messages are the same', () => {
  const bytes = Buffer.concat([
    clientFrame({ payload: 'hello' }),
    clientFrame({ payload: Buffer.alloc(300, 'y'), isFinal: false, opcode: 2 }),
    clientFrame({ payload: 'ping', opcode: 9 }),
    clientFrame({ payload: 'z', opcode: 0 }),
    clientFrame({ payload: close1000, opcode: 8 }),
  ]);
  const run = (sizes: readonly number[]) => {
    const { up, messages, of } = observe();
    for (const piece of chunksOf(bytes, sizes)) up(piece);
    const frames = of('websocket_frame').map((event) =>
      event.kind === 'websocket_frame' ? event.frameLen : 0,
    );
    return { messages, frames, turns: of('websocket_turn_completed').length };
  };
  const whole = run([]);
  expect(whole.frames).toHaveLength(5);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 20 }), (sizes) => {
      expect(run(sizes)).toEqual(whole);
    }),
    { numRuns: 40 },
  );
});

describe('turns', () => {
  test('a close frame completes the one that is open', () => {
    const { up, down, of } = observe();
    up(clientFrame({ payload: 'question' }));
    down(frame({ payload: 'answer' }));
    up(clientFrame({ payload: 'next' }));
    up(clientFrame({ payload: close1000, opcode: 8 }));
    expect(of('websocket_turn_started')).toMatchObject([
      { turnId: 1, initiatedBy: 'client_to_server', firstFrameSequenceNo: 1 },
      { turnId: 2, initiatedBy: 'client_to_server', firstFrameSequenceNo: 3 },
    ]);
    expect(of('websocket_turn_completed')).toMatchObject([
      {
        turnId: 1,
        clientFrameCount: 1,
        serverFrameCount: 1,
        clientPayloadBytes: 8,
        serverPayloadBytes: 6,
        lastFrameSequenceNo: 2,
        flushReason: 'rollover',
      },
      { turnId: 2, clientFrameCount: 2, lastFrameSequenceNo: 4, flushReason: 'close_frame' },
    ]);
  });

  test('750 ms of silence complete one, counted from the last frame', () => {
    vi.useFakeTimers();
    const { down, of, observation } = observe();
    down(frame({ payload: 'a' }));
    vi.advanceTimersByTime(600);
    down(frame({ payload: 'b' }));
    vi.advanceTimersByTime(740);
    expect(of('websocket_turn_completed')).toHaveLength(0);
    vi.advanceTimersByTime(20);
    expect(of('websocket_turn_completed')).toMatchObject([
      { initiatedBy: 'server_to_client', serverFrameCount: 2, flushReason: 'idle_timeout' },
    ]);
    expect(vi.getTimerCount()).toBe(0);
    down(frame({ payload: 'c' }));
    expect(of('websocket_turn_started')).toHaveLength(2);
    observation.finish(false, undefined);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('the end', () => {
  test.each([
    ['by a close frame', true, false, undefined, 'close_frame'],
    ['without one', false, false, 'ended without a close frame (1006)', 'eof'],
    ['by a failure', false, true, 'client: gone', 'error'],
    ['by a failure behind a close frame', true, true, 'client: gone', 'error'],
  ] as const)(
    '%s is one event with the bytes of both directions',
    (_how, hasClose, isFailed, detail, closeReason) => {
      const { up, down, of, observation, flow } = observe();
      up(clientFrame({ payload: 'hello' }));
      if (hasClose) down(frame({ payload: close1000, opcode: 8 }));
      observation.finish(isFailed, detail);
      expect(of('websocket_closed')).toMatchObject([
        { closeReason, bytesFromClient: 11, bytesFromServer: hasClose ? 7 : 0, reasonDetail: detail },
      ]);
      flow.close('websocket_completed');
    },
  );

  test('completes an open turn by its own reason', () => {
    const { up, of, observation } = observe();
    up(clientFrame({ payload: 'hello' }));
    observation.finish(true, undefined);
    expect(of('websocket_turn_completed')).toMatchObject([{ flushReason: 'error' }]);
  });

  test('counts what came after the opening only', () => {
    const { engine, recorder } = testEngine();
    const flow = openExchangeFlow(engine);
    flow.bytesFromClient = 1_000;
    flow.bytesFromServer = 2_000;
    const observation = new WebSocketObservation(flow, plain, undefined);
    flow.bytesFromClient += 5;
    observation.finish(false, undefined);
    expect(recorder.events().at(-1)).toMatchObject({ bytesFromClient: 5, bytesFromServer: 0 });
  });
});
