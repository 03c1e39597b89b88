// One stream to an origin, frame by frame: what is asked, what the relay is told of the answer, what the origin has credit for, and how
// a stream ends that nobody wants any more.
import { parseConfig } from 'mitm-core';
import { h2Code, H2Session } from 'mitm-http';
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
import { Http2Outbound, type OutboundSession } from '../../src/http2/outbound.ts';
import { sessionOptions } from '../../src/http2/session-options.ts';
import type { OutboundRequest } from '../../src/relay/sides.ts';
import { FramePeer } from '../frame-text.ts';
import { askedFor, getFields, h2RequestOf, postFields, requestOf, webSocketFields } from '../messages.ts';
import { ResponseRecorder } from '../recorders.ts';

const config = parseConfig({
  interception: { destinations: ['*:*'] },
  http2MaxHeaderListSize: 2_000,
  upstream: { h2HeaderStageTimeoutMs: 3_000, h2BodyIdleTimeoutMs: 5_000 },
});

/** The connection as its streams see it, and what they told it. */
class Notes implements OutboundSession {
  readonly told: string[] = [];
  allowsConnectProtocol = false;
  fault: string | undefined = undefined;
  lossError: Error | undefined = undefined;

  streamOver(): void {
    this.told.push('over');
  }

  touched(): void {
    this.told.push('touched');
  }

  authenticated(): void {
    this.told.push('authenticated');
  }
}

interface Lab {
  readonly outbound: Http2Outbound;
  readonly origin: FramePeer;
  readonly session: H2Session;
  readonly receiver: ResponseRecorder;
  readonly notes: Notes;
}

function opened(settings: ConstructorParameters<typeof FramePeer>[2] = {}): Lab {
  const session = new H2Session(sessionOptions(config, 'client', false), {
    request: () => {},
    headTooLarge: () => {},
    settings: () => {},
    goaway: () => {},
    failed: () => {},
    outputReady: () => {},
  });
  const origin = new FramePeer(session, 'server', settings);
  const notes = new Notes();
  const outbound = new Http2Outbound(notes, config, { client: {}, isReused: false, isBound: false });
  outbound.attach(session.openStream(outbound));
  return { outbound, origin, session, receiver: new ResponseRecorder(), notes };
}

/** A request that is complete on stream 1, its frames already looked at. */
function sent(fields: readonly string[] = getFields()): Lab {
  const lab = opened();
  lab.outbound.send(askedFor(h2RequestOf(fields)), lab.receiver);
  lab.outbound.sendEnd(undefined);
  lab.outbound.flush();
  lab.origin.seen();
  return lab;
}

const answer = (status: string, ...more: readonly string[]): readonly string[] => [
  ':status',
  status,
  ...more,
];

describe('a request', () => {
  test('is head, data and end, on as few frames as that takes', () => {
    const { outbound, origin, receiver } = opened();
    outbound.send(askedFor(h2RequestOf(postFields())), receiver);
    expect(outbound.sendData(Buffer.from('abc'))).toBe(true);
    outbound.sendEnd(undefined);
    expect(origin.seen()).toEqual([
      'HEADERS 1 :method POST :scheme https :authority o.test :path /p',
      'DATA 1 abc END',
    ]);
  });

  test('of HTTP/1 is said in HTTP/2, and its trailers as far as they may be', () => {
    const { outbound, origin, receiver } = opened();
    outbound.send(askedFor(requestOf('PUT /p HTTP/1.1', 'Host: o.test', 'Accept: a')), receiver);
    outbound.sendEnd(['Digest', 'x', 'Host', 'other']);
    expect(origin.seen()).toEqual([
      'HEADERS 1 :method PUT :scheme https :authority o.test :path /p accept a',
      'HEADERS 1 digest x END',
    ]);
  });

  test('keeps what no table may hold out of the tables', () => {
    const { outbound, origin, receiver } = opened();
    const head = h2RequestOf(getFields('x-key', 'k'), new Set(['x-key']));
    outbound.send(askedFor(head), receiver);
    outbound.sendEnd(undefined);
    const [block] = origin.frames();
    // A literal that is never indexed begins with 0001 (RFC 7541 §6.2.3).
    const at = block?.payload.indexOf('x-key') ?? 0;
    expect((block?.payload[at - 2] ?? 0) >> 4).toBe(1);
  });

  test('waits for the origin’s windows, and the relay hears when they open', () => {
    const { outbound, origin, receiver } = opened({ initialWindowSize: 4 });
    outbound.send(askedFor(h2RequestOf(postFields())), receiver);
    expect(outbound.sendData(Buffer.from('abcdef'))).toBe(false);
    expect(origin.seen().at(-1)).toBe('DATA 1 abcd');
    origin.says(windowUpdateFrame(1, 9));
    expect([receiver.told, origin.seen()]).toEqual([['drained'], ['DATA 1 ef']]);
  });

  test('for a WebSocket needs an origin that takes it over HTTP/2', () => {
    const { outbound, origin, receiver, notes } = opened();
    const request: OutboundRequest = askedFor(h2RequestOf(webSocketFields));
    expect(() => outbound.send(request, receiver)).toThrow(
      expect.objectContaining({ reason: 'mitm_http_error', reply: expect.objectContaining({ status: 501 }) }),
    );
    expect(origin.seen()).toEqual([]);
    notes.allowsConnectProtocol = true;
    outbound.send(request, receiver);
    expect(origin.seen()).toEqual([
      'HEADERS 1 :method CONNECT :protocol websocket :scheme https :authority o.test :path /ws',
    ]);
  });
});

describe('an answer', () => {
  test('is told as it comes', () => {
    const { origin, receiver } = sent();
    origin.says(headersFrame(1, answer('103', 'link', '</a>')));
    origin.says(headersFrame(1, answer('200')));
    origin.says(dataFrame(1, 'abc'));
    origin.says(headersFrame(1, ['digest', 'x'], endHeaders | endStream));
    expect(receiver.told).toEqual(['interim 103', 'head 200 chunked', 'data abc', 'end digest x']);
  });

  test.each([
    ['ends with its head', getFields(), [headersFrame(1, answer('200'), endHeaders | endStream)], 'none'],
    [
      'has a declared length',
      getFields(),
      [headersFrame(1, answer('200', 'content-length', '3')), dataFrame(1, 'abc', endStream)],
      'length',
    ],
    [
      'to HEAD has no body',
      [':method', 'HEAD', ...getFields().slice(2)],
      [headersFrame(1, answer('200', 'content-length', '3'), endHeaders | endStream)],
      'none',
    ],
  ])('that %s', (_rule, fields, frames, kind) => {
    const { origin, receiver } = sent(fields);
    origin.says(...frames);
    expect([receiver.told[0], receiver.told.at(-1)]).toEqual([`head 200 ${kind}`, 'end']);
  });

  test('asks for company: whoever is told something may be told when that was all', () => {
    const { outbound, origin, receiver, notes } = sent();
    origin.says(headersFrame(1, answer('200')), dataFrame(1, 'abc', endStream));
    expect(notes.told).toEqual(['touched', 'touched']);
    outbound.flushReceiver();
    expect(receiver.told.at(-1)).toBe('flush');
    outbound.release();
    outbound.flushReceiver();
    expect(receiver.told.filter((word) => word === 'flush')).toHaveLength(1);
  });

  test('gives no credit for what the relay has not taken, and all of it at once when it has', () => {
    const { outbound, origin, receiver } = sent();
    const ofStream = (): string[] => origin.seen().filter((line) => line.startsWith('WINDOW_UPDATE 1 '));
    const piece = Buffer.alloc(16_000);
    receiver.isReady = false;
    origin.says(headersFrame(1, answer('200')));
    for (let count = 0; count < 10; count += 1) origin.says(dataFrame(1, piece));
    outbound.pause();
    expect(ofStream()).toEqual([]);
    outbound.resume();
    expect(ofStream()).toEqual(['WINDOW_UPDATE 1 +160000']);
    outbound.resume();
    expect(ofStream()).toEqual([]);
  });

  test.each([
    ['that asks for NTLM binds its connection', '401', ['www-authenticate', 'NTLM'], true],
    ['that asks for Basic does not', '401', ['www-authenticate', 'Basic'], false],
    ['that is no 401 does not', '200', ['www-authenticate', 'Negotiate x'], false],
  ])('%s', (_rule, status, more, isBound) => {
    const { origin, notes } = sent();
    origin.says(headersFrame(1, answer(status, ...more), endHeaders | endStream));
    expect(notes.told.includes('authenticated')).toBe(isBound);
  });
});

describe('an exchange that is over', () => {
  test('leaves no trace where both directions had ended', () => {
    const { outbound, origin, notes } = sent();
    origin.says(headersFrame(1, answer('200'), endHeaders | endStream));
    outbound.release();
    outbound.release();
    outbound.abort();
    expect([origin.seen(), notes.told.filter((word) => word === 'over')]).toEqual([[], ['over']]);
  });

  test('stops the rest of a request that its answer has made useless', () => {
    const { outbound, origin, receiver } = opened();
    outbound.send(askedFor(h2RequestOf(postFields())), receiver);
    origin.seen();
    origin.says(headersFrame(1, answer('413'), endHeaders | endStream));
    outbound.release();
    expect(origin.seen()).toEqual(['RST_STREAM 1 NO_ERROR']);
  });

  test('that never began says nothing to the origin, and its place is free', () => {
    const { outbound, origin, session, notes } = opened();
    expect(session.openCount).toBe(1);
    outbound.release();
    expect([origin.seen(), session.openCount, notes.told]).toEqual([[], 0, ['over']]);
  });

  test.each([
    ['is cancelled', undefined, 'CANCEL'],
    ['is given up with the client’s own code', h2Code.enhanceYourCalm, 'ENHANCE_YOUR_CALM'],
  ])('%s; what still comes is not told', (_rule, code, name) => {
    const { outbound, origin, receiver } = sent();
    outbound.abort(code);
    expect(origin.seen()).toEqual([`RST_STREAM 1 ${name}`]);
    origin.says(headersFrame(1, answer('200')), dataFrame(1, 'abc', endStream));
    expect(receiver.told).toEqual([]);
    expect([outbound.sendData(Buffer.from('x')), outbound.sendEnd(undefined)]).toEqual([true, undefined]);
  });
});

describe('an origin that', () => {
  const rows: readonly [string, (lab: Lab) => void, object][] = [
    [
      'resets the stream said why',
      ({ origin }) => origin.says(resetFrame(1, h2Code.cancel)),
      { detail: 'upstream reset the stream: CANCEL', resetCode: h2Code.cancel, isUnprocessed: false },
    ],
    [
      'refuses the stream has not begun with it',
      ({ origin }) => origin.says(resetFrame(1, h2Code.refusedStream)),
      { resetCode: h2Code.refusedStream, isUnprocessed: true },
    ],
    [
      'leaves the stream out of its GOAWAY has not begun with it',
      ({ origin }) => origin.says(goawayFrame(0, h2Code.noError)),
      { isUnprocessed: true },
    ],
    [
      'breaks a rule on the stream has sent what is not HTTP',
      ({ origin }) => origin.says(headersFrame(1, answer('200', 'Upper', 'case'))),
      {
        detail: 'malformed HTTP/2 response: the stream was reset with PROTOCOL_ERROR',
        resetCode: undefined,
        isUnprocessed: false,
      },
    ],
    [
      'closes the connection',
      ({ session }) => session.end(),
      { detail: 'upstream connection closed', resetCode: undefined },
    ],
    [
      'closes the connection for a reason that is known',
      ({ session, notes }) => {
        notes.fault = 'read ECONNRESET';
        session.end();
      },
      { detail: 'read ECONNRESET' },
    ],
    [
      'sends more fields than fit',
      ({ origin }) => origin.says(headersFrame(1, answer('200', 'x', 'y'.repeat(2_000)))),
      { detail: 'response header list larger than 2000 bytes', resetCode: undefined },
    ],
  ];
  test.each(rows)('%s: 502, the stream is over, and nothing was touched', (_rule, act, expected) => {
    const lab = sent();
    act(lab);
    expect(lab.receiver.failure).toMatchObject({
      reason: 'mitm_http_error',
      side: 'upstream',
      reply: { status: 502 },
      ...expected,
    });
    expect([lab.receiver.told, lab.receiver.isUntouched, lab.notes.told]).toEqual([
      ['failed'],
      true,
      ['over'],
    ]);
  });

  test('fails behind its head has touched the exchange', () => {
    const { origin, receiver } = sent();
    origin.says(headersFrame(1, answer('200')), resetFrame(1, h2Code.internalError));
    expect([receiver.told, receiver.isUntouched]).toEqual([['head 200 chunked', 'failed'], false]);
  });
});

test('a stream whose connection ends before it was used fails when it is used', async () => {
  const { outbound, session, receiver } = opened();
  session.end();
  outbound.send(askedFor(h2RequestOf(getFields())), receiver);
  outbound.sendEnd(undefined);
  await Promise.resolve();
  expect([receiver.told, receiver.isUntouched]).toEqual([['failed'], true]);
});

function ticks(outbound: Http2Outbound, count: number): void {
  for (let tick = 0; tick < count; tick += 1) outbound.tick();
}

describe('silence', () => {
  test('before the head ends in 504, the tick under way not counted', () => {
    const { outbound, origin, receiver } = sent();
    ticks(outbound, 3);
    expect(receiver.told).toEqual([]);
    ticks(outbound, 1);
    expect(receiver.failure).toMatchObject({
      reason: 'stream_stage_timeout',
      detail: 'stream_stage_timeout:http2_response_head:3000ms',
      reply: { status: 504 },
    });
    expect(origin.seen()).toEqual(['RST_STREAM 1 CANCEL']);
  });

  test('in the body is idleness', () => {
    const { outbound, origin, receiver } = sent();
    origin.says(headersFrame(1, answer('200')));
    ticks(outbound, 5);
    expect(receiver.failure).toBeUndefined();
    ticks(outbound, 1);
    expect(receiver.failure).toMatchObject({
      reason: 'idle_watchdog_timeout',
      detail: 'idle_watchdog_timeout:http2_response_body:5000ms',
    });
    expect(origin.seen()).toEqual(['RST_STREAM 1 CANCEL']);
  });

  test('does not count before the request is complete', () => {
    const { outbound, receiver } = opened();
    outbound.send(askedFor(h2RequestOf(postFields())), receiver);
    ticks(outbound, 100);
    expect(receiver.told).toEqual([]);
  });

  test('does not count where the origin waits for us', () => {
    const { outbound, origin, receiver } = sent();
    receiver.isReady = false;
    origin.says(headersFrame(1, answer('200')), dataFrame(1, 'abc'));
    ticks(outbound, 100);
    expect(receiver.failure).toBeUndefined();
  });

  test('begins anew with an interim head, and with each piece', () => {
    const { outbound, origin, receiver } = sent();
    ticks(outbound, 3);
    origin.says(headersFrame(1, answer('103')));
    ticks(outbound, 3);
    origin.says(headersFrame(1, answer('200')));
    for (let piece = 0; piece < 5; piece += 1) {
      ticks(outbound, 5);
      origin.says(dataFrame(1, 'a'));
    }
    expect(receiver.failure).toBeUndefined();
  });
});
