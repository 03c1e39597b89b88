// One stream of a client, frame by frame: what the relay is told of it and when, what the client has credit for, and what is sent.
import { ByteBudget } from 'mitm-core';
import { h2Code } from 'mitm-http';
import { describe, expect, test } from 'vitest';

import {
  dataFrame,
  endHeaders,
  endStream,
  goawayFrame,
  headersFrame,
  resetFrame,
  windowUpdateFrame,
} from '../../../../testing/lab/h2-frames.ts';
import type { Http2Inbound } from '../../src/http2/inbound.ts';
import { type Asked, asked } from '../http2-asked.ts';
import { getFields, h2ResponseOf, postFields, responseOf, webSocketFields } from '../messages.ts';

const ok = h2ResponseOf(200);
const plain = { isLast: false, isUpgrade: false };

const end = { isEnded: true };

describe('what a stream says of itself', () => {
  test('a request without a body', () => {
    const { inbound } = asked(getFields(), end);
    expect(inbound).toMatchObject({
      isRequestComplete: true,
      isPersistent: true,
      upgrade: '',
      isTwoWay: false,
      passesResets: true,
      framing: { kind: 'none' },
    });
    expect([inbound.head.path, inbound.endsWith()]).toEqual(['/p', false]);
  });

  test.each([
    ['a body of a declared length', postFields('content-length', '3'), { kind: 'length', length: 3 }],
    ['a body of no declared length', postFields(), { kind: 'chunked' }],
  ])('%s', (_what, fields, framing) => {
    expect(asked(fields).inbound).toMatchObject({ isRequestComplete: false, framing });
  });

  test('a WebSocket streams both ways', () => {
    expect(asked(webSocketFields).inbound).toMatchObject({ upgrade: 'websocket', isTwoWay: true });
  });
});

describe('a body', () => {
  test('passes as it comes, and its end is told with its last piece', () => {
    const { inbound, client, receiver } = asked(postFields());
    inbound.receive(receiver);
    client.says(dataFrame(1, 'abc'));
    client.says(dataFrame(1, 'de', endStream));
    expect(receiver.told).toEqual(['data abc', 'data de', 'end']);
    expect(inbound.isRequestComplete).toBe(true);
  });

  test('that came before it was asked for is kept, in order', () => {
    const { inbound, client, receiver } = asked(postFields());
    client.says(dataFrame(1, 'abc'), dataFrame(1, 'de', endStream));
    expect(inbound.isRequestComplete).toBe(false);
    inbound.receive(receiver);
    expect(receiver.told).toEqual(['data abc', 'data de', 'end']);
    expect(inbound.isRequestComplete).toBe(true);
  });

  test('that nobody has asked for counts as held, until it is asked for or given up', () => {
    const budget = new ByteBudget(() => 10);
    for (const settle of [
      ({ inbound, receiver }: Asked) => inbound.receive(receiver),
      ({ inbound }: Asked) => inbound.abort(),
      ({ inbound }: Asked) => inbound.reply({ status: 403 }),
      ({ inbound, receiver, client }: Asked) => {
        inbound.watch(receiver);
        client.says(resetFrame(1, h2Code.cancel));
      },
      ({ inbound, receiver, client }: Asked) => {
        client.says(resetFrame(1, h2Code.cancel));
        inbound.watch(receiver);
      },
    ]) {
      const stream = asked(postFields(), { budget });
      stream.client.says(dataFrame(1, 'abcdefgh'));
      expect(budget.held).toBe(8);
      settle(stream);
      expect(budget.held).toBe(0);
    }
  });

  test('that nobody has asked for, and for which there is no room, is refused at once', () => {
    const { inbound, client, receiver } = asked(postFields(), { budget: new ByteBudget(() => 10) });
    inbound.watch(receiver);
    client.says(dataFrame(1, 'abcdefgh'));
    expect(receiver.failure).toBeUndefined();
    client.says(dataFrame(1, 'ijk'));
    expect(receiver.failure).toMatchObject({ reason: 'capacity_denied', reply: { status: 503 } });
  });

  test('that came before it was asked for, with its end in a frame of its own', () => {
    const { inbound, client, receiver } = asked(postFields());
    client.says(dataFrame(1, 'abc'), dataFrame(1, '', endStream));
    inbound.receive(receiver);
    expect(receiver.told).toEqual(['data abc', 'end']);
  });

  test('that came in part goes on behind that part', () => {
    const { inbound, client, receiver } = asked(postFields());
    client.says(dataFrame(1, 'abc'));
    inbound.receive(receiver);
    client.says(dataFrame(1, '', endStream));
    expect(receiver.told).toEqual(['data abc', 'end']);
  });

  test.each([false, true])('ends in trailers that may be sent on; kept first: %s', (isKept) => {
    const { inbound, client, receiver } = asked(postFields());
    if (!isKept) inbound.receive(receiver);
    client.says(
      dataFrame(1, 'abc'),
      headersFrame(1, ['digest', 'x', 'content-length', '3'], endHeaders | endStream),
    );
    if (isKept) inbound.receive(receiver);
    expect(receiver.told).toEqual(['data abc', 'end digest x']);
    expect(inbound.isRequestComplete).toBe(true);
  });

  test('gives no credit for what the relay has not taken, and all of it at once when it has', () => {
    const { inbound, client, receiver } = asked(postFields());
    const piece = Buffer.alloc(16_000);
    const ofStream = (): string[] => client.seen().filter((line) => line.startsWith('WINDOW_UPDATE 1 '));
    for (let count = 0; count < 10; count += 1) client.says(dataFrame(1, piece));
    expect(ofStream()).toEqual([]);
    receiver.isReady = false;
    inbound.receive(receiver);
    inbound.pause();
    expect(ofStream()).toEqual([]);
    inbound.resume();
    expect(ofStream()).toEqual(['WINDOW_UPDATE 1 +160000']);
    inbound.resume();
    expect(ofStream()).toEqual([]);
  });

  test('gives credit as the relay takes it', () => {
    const { inbound, client, receiver } = asked(postFields());
    inbound.receive(receiver);
    const piece = Buffer.alloc(16_000);
    for (let count = 0; count < 10; count += 1) client.says(dataFrame(1, piece));
    expect(client.seen().some((line) => line.startsWith('WINDOW_UPDATE 1 '))).toBe(true);
  });
});

describe('a client that', () => {
  const rows: readonly [string, (lab: Asked) => void, object][] = [
    [
      'resets its stream is gone, with the code that it gave',
      ({ client }) => client.says(resetFrame(1, h2Code.cancel)),
      { reason: 'client_aborted', detail: 'client reset the stream: CANCEL', resetCode: h2Code.cancel },
    ],
    [
      'breaks a rule on its stream has sent what is malformed',
      ({ client }) => client.says(dataFrame(1, 'too long')),
      {
        reason: 'mitm_http_error',
        detail: 'malformed HTTP/2 request: the stream was reset with PROTOCOL_ERROR',
        resetCode: undefined,
      },
    ],
    [
      'closes its connection is gone',
      ({ session }) => session.end(),
      {
        reason: 'client_aborted',
        detail: 'client closed before its answer was complete',
        resetCode: undefined,
      },
    ],
    [
      'closes it with a GOAWAY that told why is gone with that code',
      ({ session, connection, client }) => {
        client.says(goawayFrame(0, h2Code.enhanceYourCalm));
        connection.leavingCode = h2Code.enhanceYourCalm;
        session.end();
      },
      { reason: 'client_aborted', resetCode: h2Code.enhanceYourCalm },
    ],
  ];
  const whens = ['while it receives', 'while it watches', 'before it watches', 'before it receives'] as const;
  describe.each(rows)('%s', (_rule, leave, expected) => {
    test.each(whens)('and the relay hears of it once: %s', (when) => {
      const lab = asked(postFields('content-length', '3'));
      const { inbound, receiver } = lab;
      if (when === 'while it receives') inbound.receive(receiver);
      if (when === 'while it watches') inbound.watch(receiver);
      leave(lab);
      if (when === 'before it watches') inbound.watch(receiver);
      if (when === 'before it receives') inbound.receive(receiver);
      expect(receiver.told).toHaveLength(1);
      expect(receiver.failure).toMatchObject({ side: 'client', ...expected });
    });
  });

  test('leaves in the middle of a body that was kept: what came is told first', () => {
    const { inbound, client, receiver } = asked(postFields());
    client.says(dataFrame(1, 'abc'), resetFrame(1, h2Code.cancel));
    inbound.receive(receiver);
    expect(receiver.told).toEqual(['data abc', 'failed client_aborted']);
  });

  test('leaves behind a request that was kept complete: both are told', () => {
    const { inbound, client, receiver } = asked(postFields());
    client.says(dataFrame(1, 'abc', endStream), resetFrame(1, h2Code.cancel));
    inbound.receive(receiver);
    expect(receiver.told).toEqual(['data abc', 'end', 'failed client_aborted']);
  });

  test('is told nothing more once the exchange was given up', () => {
    const { inbound, client, session, receiver } = asked(postFields());
    inbound.receive(receiver);
    inbound.abort();
    client.says(dataFrame(1, 'abc'));
    session.end();
    expect(receiver.told).toEqual([]);
  });
});

describe('an answer', () => {
  test('is head, data and end, on as few frames as that takes', () => {
    const { inbound, client } = asked(getFields(), end);
    inbound.sendHead(ok, { kind: 'chunked' }, plain);
    expect(inbound.sendData(Buffer.from('abc'))).toBe(true);
    inbound.sendEnd(undefined);
    inbound.flush();
    expect(client.seen()).toEqual(['HEADERS 1 :status 200', 'DATA 1 abc END']);
  });

  test('without a body ends with its head', () => {
    const { inbound, client } = asked(getFields(), end);
    inbound.sendHead(h2ResponseOf(204), { kind: 'none' }, plain);
    inbound.sendEnd(undefined);
    expect(client.seen()).toEqual(['HEADERS 1 :status 204 END']);
  });

  test('has its interim heads, its signature and its trailers, from an origin of either version', () => {
    const { inbound, client } = asked(getFields('expect', '100-continue'), end);
    inbound.sendContinue();
    inbound.sendInformational(responseOf('HTTP/1.1 103 Early Hints', 'Link: </a>'));
    inbound.sendHead(responseOf('HTTP/1.1 200 Fine'), { kind: 'chunked' }, { ...plain, via: '1.1 us' });
    inbound.sendEnd(['Digest', 'x', 'Content-Length', '0']);
    expect(client.seen()).toEqual([
      'HEADERS 1 :status 100',
      'HEADERS 1 :status 103 link </a>',
      'HEADERS 1 :status 200 via 1.1 us',
      'HEADERS 1 digest x END',
    ]);
  });

  test('waits for the client’s windows, and the relay hears when they open', () => {
    const { inbound, client, receiver } = asked(getFields(), { ...end, windowBytes: 4 });
    inbound.watch(receiver);
    inbound.sendHead(ok, { kind: 'chunked' }, plain);
    expect(inbound.sendData(Buffer.from('abcdef'))).toBe(false);
    expect(client.seen()).toEqual(['HEADERS 1 :status 200', 'DATA 1 abcd']);
    client.says(windowUpdateFrame(1, 9));
    expect(receiver.told).toEqual(['drained']);
    expect(client.seen()).toEqual(['DATA 1 ef']);
  });

  test('is cut short with the code that is given, else as our fault', () => {
    for (const [code, name] of [
      [h2Code.cancel, 'CANCEL'],
      [undefined, 'INTERNAL_ERROR'],
    ] as const) {
      const { inbound, client } = asked(getFields(), end);
      inbound.sendHead(ok, { kind: 'chunked' }, plain);
      inbound.abort(code);
      expect(client.seen()).toEqual(['HEADERS 1 :status 200', `RST_STREAM 1 ${name}`]);
    }
  });
});

describe('an answer of our own', () => {
  test('has its body and its length', () => {
    const { inbound, client } = asked(getFields(), end);
    inbound.reply({ status: 403, body: 'no\n', headers: ['X-Why', 'so'] });
    expect(client.seen()).toEqual([
      'HEADERS 1 :status 403 x-why so content-type text/plain; charset=utf-8 content-length 3',
      'DATA 1 no\n END',
    ]);
  });

  test.each([
    ['to HEAD has no body', [':method', 'HEAD', ...getFields().slice(2)], { status: 502, body: 'no\n' }],
    ['that is empty ends with its head', getFields(), { status: 502 }],
  ])('%s', (_rule, fields, reply) => {
    const { inbound, client } = asked(fields, end);
    inbound.reply(reply);
    expect(client.frames()).toMatchObject([{ type: 1, flags: endHeaders | endStream }]);
  });
});

describe('an answer that is complete before its request', () => {
  test('tells the client that it need not send the rest', () => {
    const { inbound, client } = asked(postFields());
    inbound.reply({ status: 413 });
    expect(client.seen()).toEqual(['HEADERS 1 :status 413 content-length 0 END', 'RST_STREAM 1 NO_ERROR']);
  });

  test('tells it only when all of it has left', () => {
    const { inbound, client } = asked(postFields(), { windowBytes: 4 });
    inbound.sendHead(ok, { kind: 'chunked' }, plain);
    inbound.sendData(Buffer.from('abcdef'));
    inbound.sendEnd(undefined);
    expect(client.seen()).toEqual(['HEADERS 1 :status 200', 'DATA 1 abcd']);
    client.says(windowUpdateFrame(1, 9));
    expect(client.seen()).toEqual(['DATA 1 ef END', 'RST_STREAM 1 NO_ERROR']);
  });

  test('leaves the other direction of a WebSocket open', () => {
    const { inbound, client, receiver } = asked(webSocketFields);
    inbound.receive(receiver);
    inbound.sendHead(ok, { kind: 'none' }, plain);
    inbound.sendEnd(undefined);
    expect(client.seen()).toEqual(['HEADERS 1 :status 200 END']);
    client.says(dataFrame(1, 'abc', endStream));
    expect(receiver.told).toEqual(['data abc', 'end']);
  });
});

describe('a client that stops in the middle of its body', () => {
  const limitMs = 3_000;
  const ticks = (inbound: Http2Inbound, count: number): void => {
    for (let tick = 0; tick < count; tick += 1) inbound.tick(limitMs);
  };

  test('is answered 408 when the time is over, the tick under way not counted', () => {
    const { inbound, receiver } = asked(postFields());
    inbound.receive(receiver);
    ticks(inbound, 3);
    expect(receiver.told).toEqual([]);
    ticks(inbound, 1);
    expect(receiver.failure).toMatchObject({
      reason: 'idle_watchdog_timeout',
      side: 'client',
      detail: 'idle_watchdog_timeout:http2_request_body:3000ms',
      reply: { status: 408 },
    });
  });

  const alive: readonly [string, (lab: Asked) => void][] = [
    ['not while it sends', ({ client }) => client.says(dataFrame(1, 'a'))],
    ['not while it is sent an answer', ({ inbound }) => void inbound.sendData(Buffer.from('a'))],
  ];
  test.each(alive)('%s', (_rule, move) => {
    const lab = asked(postFields());
    lab.inbound.receive(lab.receiver);
    lab.inbound.sendHead(ok, { kind: 'chunked' }, plain);
    for (let round = 0; round < 5; round += 1) {
      ticks(lab.inbound, 3);
      move(lab);
    }
    expect(lab.receiver.failure).toBeUndefined();
  });

  test('not where it waits for us', () => {
    const { inbound, client, receiver } = asked(postFields());
    receiver.isReady = false;
    inbound.receive(receiver);
    client.says(dataFrame(1, 'abc'));
    ticks(inbound, 100);
    expect(receiver.failure).toBeUndefined();
  });

  test('not where what came waits for the relay to ask for it', () => {
    const { inbound, client, receiver } = asked(postFields());
    inbound.watch(receiver);
    client.says(dataFrame(1, 'abc', endStream));
    ticks(inbound, 100);
    expect(receiver.failure).toBeUndefined();
  });

  test('not when all of it has come', () => {
    const { inbound, receiver } = asked(getFields(), end);
    inbound.receive(receiver);
    ticks(inbound, 100);
    expect(receiver.failure).toBeUndefined();
  });
});
