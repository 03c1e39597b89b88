import { describe, expect, test } from 'vitest';

import { h2Code, H2SessionError } from '../../src/h2/error-codes.ts';
import type { SessionCase } from './session-case.ts';
import { client, ok, server } from './session-case.ts';
import { data, get, headers, paddedData, post, reset, settings, windowUpdate } from './wire-frames.ts';

const hello = Buffer.from('hello');

function answering(): SessionCase {
  return server().feed(headers(1, get, true));
}

describe('END_STREAM rides on the last frame while that is still in the output', () => {
  test('on DATA', () => {
    const made = answering();
    made.stream().sendHead(ok, false);
    made.stream().sendData(hello);
    made.stream().sendData(hello);
    made.stream().sendEnd();
    expect(made.sent()).toEqual(['HEADERS 1 :status=200', 'DATA 1 hello', 'DATA 1 end hello']);
  });

  test('on HEADERS', () => {
    const made = answering();
    made.stream().sendHead(ok, false);
    expect(made.stream().sendEnd()).toBe(true);
    expect(made.sent()).toEqual(['HEADERS 1 end :status=200']);
  });

  test('also behind frames of other streams', () => {
    const made = answering().feed(headers(3, get, true));
    made.stream(0).sendHead(ok, false);
    made.stream(1).sendHead(ok, false);
    made.stream(0).sendEnd();
    expect(made.sent()).toEqual(['HEADERS 1 end :status=200', 'HEADERS 3 :status=200']);
  });

  test('never on an interim response', () => {
    const made = answering();
    made.stream().sendHead([':status', '103'], false);
    made.stream().sendHead(ok, true);
    expect(made.sent()).toEqual(['HEADERS 1 :status=103', 'HEADERS 1 end :status=200']);
  });

  test('on an empty DATA frame once the output was taken', () => {
    const made = answering();
    made.stream().sendHead(ok, false);
    made.stream().sendData(hello);
    made.sent();
    made.stream().sendEnd();
    expect(made.sent()).toEqual(['DATA 1 end']);
  });

  test('on trailers, and an empty list is no trailers', () => {
    const made = answering().feed(headers(3, get, true));
    for (const stream of made.streams) stream.sendHead(ok, false);
    made.stream(0).sendEnd(['x-sum', '1']);
    made.stream(1).sendEnd([]);
    expect(made.sent()).toEqual([
      'HEADERS 1 :status=200',
      'HEADERS 3 end :status=200',
      'HEADERS 1 end x-sum=1',
    ]);
  });

  test('an output taken while a frame is announced gets no late flag', () => {
    const made = answering();
    const early: Buffer[] = [];
    made.outputReady = () => early.push(Buffer.from(made.session.takeOutput() ?? ''));
    made.stream().sendHead(ok, false);
    made.stream().sendEnd();
    expect(early.map((bytes) => [bytes[3], bytes[4]])).toEqual([
      [1, 4],
      [0, 1],
    ]);
  });
});

test('sensitive fields are sent as never indexed', () => {
  const made = answering();
  made.stream().sendHead([...ok, 'set-cookie', 'a=b'], true, new Set(['set-cookie']));
  const bytes = made.session.takeOutput() ?? Buffer.alloc(0);
  expect((bytes[10] ?? 0) & 0xf0).toBe(0x10);
});

test.each([
  ['at once', 100],
  ['behind what waits', 0],
])('sensitive trailers are sent as never indexed: %s', (_rule, window) => {
  const made = server().feed(settings([4, window]), headers(1, get, true));
  made.stream().sendHead(ok, false);
  made.stream().sendData(hello);
  made.sent();
  made.stream().sendEnd(['x-secret', 'a'], new Set(['x-secret']));
  made.feed(windowUpdate(1, 9));
  const bytes = made.session.takeOutput() ?? Buffer.alloc(0);
  const block = bytes.subarray(bytes.length - 12);
  expect(block.toString('latin1')).toBe('\u0010\u0008x-secret\u0001a');
});

describe('payload waits for windows', () => {
  test('what fits goes, a copy of the rest follows when it may', () => {
    const made = server().feed(settings([4, 3]), headers(1, get, true));
    made.sent();
    made.told();
    const view = Buffer.from('abcdefgh');
    made.stream().sendHead(ok, false);
    expect([made.stream().isWritable, made.stream().sendData(view)]).toEqual([true, false]);
    view.fill(0);
    expect([made.stream().isWritable, made.stream().queuedBytes, made.session.queuedBytes]).toEqual([
      false,
      5,
      5,
    ]);
    expect(made.stream().sendEnd()).toBe(false);
    expect(made.sent()).toEqual(['HEADERS 1 :status=200', 'DATA 1 abc']);
    expect(made.feed(windowUpdate(1, 2)).sent()).toEqual(['DATA 1 de']);
    expect(made.told()).toEqual([]);
    expect(made.feed(windowUpdate(1, 9)).sent()).toEqual(['DATA 1 end fgh']);
    expect([made.told(), made.session.queuedBytes, made.session.openCount]).toEqual([['1 writable'], 0, 0]);
  });

  test('trailers go behind what waits', () => {
    const made = server().feed(settings([4, 1]), headers(1, get, true));
    made.stream().sendHead(ok, false);
    made.stream().sendData(Buffer.from('ab'));
    made.stream().sendEnd(['x-sum', '1']);
    made.sent();
    expect(made.feed(windowUpdate(1, 1)).sent()).toEqual(['DATA 1 b', 'HEADERS 1 end x-sum=1']);
  });

  test('a window that is used up to the byte says wait, and tells when it opens', () => {
    const made = server().feed(settings([4, 5]), headers(1, get, true));
    made.told();
    made.stream().sendHead(ok, false);
    expect(made.stream().sendData(hello)).toBe(false);
    expect(made.feed(windowUpdate(1, 1)).told()).toEqual(['1 writable']);
    expect(made.stream().isWritable).toBe(true);
  });

  test('and after its end it is told nothing more', () => {
    const made = server().feed(settings([4, 5]), headers(1, post));
    made.told();
    made.stream().sendHead(ok, false);
    expect([made.stream().sendData(hello), made.stream().sendEnd()]).toEqual([false, true]);
    expect(made.feed(windowUpdate(1, 1), settings([4, 9])).told()).toEqual(['settings']);
  });

  test('the end needs no window', () => {
    const made = server().feed(settings([4, 0]), headers(1, get, true));
    made.stream().sendHead(ok, false);
    made.sent();
    expect([made.stream().isWritable, made.stream().sendEnd()]).toEqual([false, true]);
    expect(made.sent()).toEqual(['DATA 1 end']);
  });

  test('an empty piece is no frame', () => {
    const made = answering();
    made.stream().sendHead(ok, false);
    expect(made.stream().sendData(Buffer.alloc(0))).toBe(true);
    expect(made.sent()).toEqual(['HEADERS 1 :status=200']);
  });

  test('a large piece becomes frames of 16384 bytes', () => {
    const made = server().feed(settings([4, 1_000_000], [5, 100_000]), headers(1, get, true));
    made.sent();
    made.stream().sendHead(ok, false);
    made.stream().sendData(Buffer.alloc(40_000));
    expect(made.sent()).toEqual(['HEADERS 1 :status=200', 'DATA 1 16384', 'DATA 1 16384', 'DATA 1 7232']);
  });
});

describe('a reset by the owner', () => {
  test('drops what waits, and the listener hears nothing more', () => {
    const made = server().feed(settings([4, 1]), headers(1, post));
    made.stream().sendHead(ok, false);
    made.stream().sendData(hello);
    made.sent();
    made.told();
    made.stream().reset(h2Code.cancel);
    made.stream().reset(h2Code.cancel);
    made.feed(windowUpdate(1, 9), data(1, 'late', true), reset(1, 8));
    expect([made.sent(), made.told(), made.session.queuedBytes]).toEqual([['RST_STREAM 1 CANCEL'], [], 0]);
  });

  test('of a complete answer with NO_ERROR stops an upload (RFC 9113 §8.1)', () => {
    const made = server().feed(headers(1, post));
    made.stream().sendHead([':status', '413'], true);
    made.stream().reset(h2Code.noError);
    expect(made.sent()).toEqual(['HEADERS 1 end :status=413', 'RST_STREAM 1 NO_ERROR']);
  });

  test('frames that crossed it count for the connection window and the compression of others', () => {
    const made = server({ connectionWindowBytes: 65_535 }).feed(headers(1, post));
    made.stream().reset(h2Code.cancel);
    made.sent();
    made.feed(data(1, Buffer.alloc(16_384)), data(1, Buffer.alloc(16_384)), headers(1, ['x', 'y'], true));
    expect([made.sent(), made.failure]).toEqual([['WINDOW_UPDATE 0 32768'], undefined]);
  });
});

describe('credit', () => {
  test('of a stream follows its reader, that of the connection does not wait', () => {
    const made = server({ initialWindowBytes: 32_768, connectionWindowBytes: 65_535 }).feed(headers(1, post));
    made.feed(data(1, Buffer.alloc(16_384)), data(1, Buffer.alloc(16_384)));
    expect(made.sent()).toEqual(['WINDOW_UPDATE 0 32768']);
    made.stream().consume(16_383);
    expect(made.sent()).toEqual([]);
    made.stream().consume(1);
    expect(made.sent()).toEqual(['WINDOW_UPDATE 1 16384']);
  });

  test('for padding is given at once', () => {
    const made = server({ initialWindowBytes: 100 }).feed(headers(1, post), paddedData(1, 'a', 79));
    expect(made.sent()).toEqual(['WINDOW_UPDATE 1 80']);
  });

  test('is not given for a message that is complete, or a stream that is over', () => {
    const made = server({ initialWindowBytes: 100 }).feed(headers(1, post), data(1, Buffer.alloc(99), true));
    made.stream().consume(99);
    made.stream().sendHead(ok, true);
    made.stream().consume(99);
    expect(made.sent()).toEqual(['HEADERS 1 end :status=200']);
  });

  test('more than was granted is a fault of the stream', () => {
    const made = server({ initialWindowBytes: 65_535 });
    made.feed(headers(1, post));
    for (let i = 0; i < 4; i++) made.feed(data(1, Buffer.alloc(16_384)));
    expect(made.sent()).toEqual(['RST_STREAM 1 FLOW_CONTROL_ERROR']);
    expect(made.told().at(-1)).toBe('1 reset FLOW_CONTROL_ERROR by local');
  });
});

describe('calls that make no sense', () => {
  const misuse = expect.objectContaining({ reason: 'misused_stream' });

  test.each([
    ['payload before a head', (made: SessionCase) => made.stream().sendData(hello)],
    ['an end before a head', (made: SessionCase) => made.stream().sendEnd()],
  ])('throw: %s', (_what, call) => {
    expect(() => call(answering())).toThrow(misuse);
  });

  test.each([
    ['a second final head', (made: SessionCase) => made.stream().sendHead(ok, true)],
    ['payload behind the end', (made: SessionCase) => made.stream().sendData(hello)],
    ['a second end', (made: SessionCase) => made.stream().sendEnd()],
  ])('throw: %s', (_what, call) => {
    const made = server().feed(headers(1, post));
    made.stream().sendHead(ok, true);
    expect(() => call(made)).toThrow(H2SessionError);
  });

  test('on a stream that is over do nothing', () => {
    const made = server().feed(headers(1, post), reset(1, 8));
    const stream = made.stream();
    stream.sendHead(ok, false);
    expect([stream.sendData(hello), stream.sendEnd(), stream.isWritable]).toEqual([false, true, false]);
    stream.consume(4);
    expect(made.sent()).toEqual([]);
  });
});

test('a client’s stream goes on receiving after its own end, and sending after the peer’s', () => {
  const made = client();
  made.open(get, true);
  made.feed(headers(1, ok), data(1, 'a'));
  expect(made.session.openCount).toBe(1);
  made.feed(data(1, 'b', true));
  expect(made.session.openCount).toBe(0);
  made.open(post, false);
  made.feed(headers(3, ok, true));
  made.sent();
  expect(made.stream(1).sendData(hello)).toBe(true);
  made.stream(1).sendEnd();
  expect([made.sent(), made.session.openCount]).toEqual([['DATA 3 end hello'], 0]);
});
