import { describe, expect, test } from 'vitest';

import { h2Code } from '../../src/h2/error-codes.ts';
import { client, ok, server } from './session-case.ts';
import { block, data, flags, frame, get, headers, ping, post, reset, settings } from './wire-frames.ts';

const large = ['x-large', 'y'.repeat(3000)] as const;

describe('calls of a request', () => {
  test('head, payload and end', () => {
    const made = server().feed(headers(1, post), data(1, 'ab'), data(1, 'cd', true));
    expect(made.told()).toEqual(['1 request POST /', '1 data ab', '1 data cd end']);
  });

  test('an end of its own', () => {
    const made = server().feed(headers(1, post), data(1, 'ab'), data(1, '', true));
    expect(made.told()).toEqual(['1 request POST /', '1 data ab', '1 data  end']);
  });

  test('payload as it comes, also of half a frame', () => {
    const made = server().feed(headers(1, post));
    const bytes = data(1, 'hello', true);
    made.feed(bytes.subarray(0, 11)).feed(bytes.subarray(11));
    expect(made.told()).toEqual(['1 request POST /', '1 data he', '1 data llo end']);
  });

  test('trailers end it', () => {
    const made = server().feed(headers(1, post), data(1, 'ab'), headers(1, ['x-sum', '1'], true));
    expect(made.told()).toEqual(['1 request POST /', '1 data ab', '1 trailers x-sum 1']);
  });

  test('payload as long as content-length', () => {
    const made = server().feed(
      headers(1, [...post, 'content-length', '4']),
      data(1, 'ab'),
      data(1, 'cd', true),
    );
    expect(made.told().at(-1)).toBe('1 data cd end');
  });

  test('without a listener payload goes nowhere', () => {
    const made = server();
    made.request = () => undefined;
    made.feed(headers(1, post), data(1, 'ab', true));
    expect([made.told(), made.failure]).toEqual([[], undefined]);
  });
});

describe('a listener may call back', () => {
  test('answer within the request', () => {
    const made = server();
    made.onRequest = (stream) => {
      stream.sendHead(ok, false);
      stream.sendData(Buffer.from('hello'));
      stream.sendEnd();
    };
    made.feed(headers(1, get, true), headers(3, get, true));
    expect(made.sent()).toEqual([
      'HEADERS 1 :status=200',
      'DATA 1 end hello',
      'HEADERS 3 :status=200',
      'DATA 3 end hello',
    ]);
    expect(made.session.openCount).toBe(0);
  });

  test('reset within payload: the rest of the frame is dropped', () => {
    const made = server().feed(headers(1, post));
    made.recorder().onData = (stream) => stream.reset(h2Code.cancel);
    const bytes = data(1, 'hello', true);
    made.feed(bytes.subarray(0, 11)).feed(bytes.subarray(11), ping());
    expect(made.told()).toEqual(['1 request POST /', '1 data he']);
    expect(made.sent()).toEqual(['RST_STREAM 1 CANCEL', 'PING ack 12345678']);
  });

  test('end the session within a call: nothing more is read of the chunk', () => {
    const made = server();
    made.onRequest = () => made.session.abort(h2Code.internalError);
    made.feed(headers(1, get, true), ping(), headers(3, get, true));
    expect(made.told()).toEqual(['1 request GET / end', '1 reset INTERNAL_ERROR by session']);
    expect(made.sent()).toEqual(['GOAWAY 1 INTERNAL_ERROR']);
  });

  test('an exception of a listener goes to the driver', () => {
    const made = server();
    made.onRequest = () => {
      throw new RangeError('a fault of the owner');
    };
    expect(() => made.feed(headers(1, get, true))).toThrow('a fault of the owner');
  });
});

describe('a header list over the limit', () => {
  test('of a request is told, so that it can be answered', () => {
    const made = server({ maxHeaderListBytes: 2000 }).feed(
      headers(1, [...post, ...large]),
      data(1, 'ab', true),
    );
    expect(made.told()).toEqual(['1 headTooLarge', '1 data ab end']);
    made.stream().sendHead([':status', '431'], true);
    expect([made.sent(), made.session.openCount]).toEqual([['HEADERS 1 end :status=431'], 0]);
  });

  test('of a response ends the stream', () => {
    const made = client({ maxHeaderListBytes: 2000 });
    made.open(get);
    made.sent();
    made.feed(headers(1, [...ok, ...large], true));
    expect([made.told(), made.sent()]).toEqual([['1 responseTooLarge'], ['RST_STREAM 1 PROTOCOL_ERROR']]);
  });

  test('of trailers ends the stream', () => {
    const made = server({ maxHeaderListBytes: 2000 }).feed(headers(1, post), headers(1, large, true));
    expect(made.told()).toEqual(['1 request POST /', '1 reset PROTOCOL_ERROR by local']);
  });

  test('of more than four times the limit ends the connection, also when few bytes stand for it', () => {
    const made = server({ maxHeaderListBytes: 700 });
    // One large entry for the table, and many references to it.
    const literal = Buffer.concat([Buffer.from([0x40, 1, 0x78, 127, 73]), Buffer.alloc(200, 0x79)]);
    made.feed(frame(1, flags.endHeaders, 1, Buffer.concat([block(post), literal, Buffer.alloc(99, 0xbe)])));
    expect(made.failure).toMatchObject({ reason: 'header_list_flood', code: h2Code.enhanceYourCalm });
  });
});

describe('blocks on streams that are over still count for compression', () => {
  // Adds "x-late: 1" to the table of the connection, and refers to it.
  const adding = Buffer.concat([
    Buffer.from([0x40, 6]),
    Buffer.from('x-late'),
    Buffer.from([1]),
    Buffer.from('1'),
  ]);
  const referring = Buffer.concat([block(get), Buffer.from([0xbe])]);
  const isEnded = flags.endHeaders | flags.endStream;

  test.each([
    ['reset by us', [headers(1, post)], (id: number) => frame(1, isEnded, id, adding)],
    ['reset by the peer', [headers(1, post), reset(1, 8)], (id: number) => frame(1, isEnded, id, adding)],
  ])('%s', (_rule, frames, late) => {
    const made = server().feed(...frames);
    made.stream().reset(h2Code.cancel);
    made.feed(late(1), frame(1, isEnded, 3, referring));
    expect([made.told().at(-1), made.failure]).toEqual(['3 request GET / end', undefined]);
  });

  test('refused for their number, or while the session drains', () => {
    const made = server({ maxConcurrentStreams: 1 }).feed(headers(1, post));
    made.feed(
      frame(1, isEnded, 3, Buffer.concat([block(get), adding])),
      reset(1, 8),
      frame(1, isEnded, 5, referring),
    );
    expect(made.told().at(-1)).toBe('5 request GET / end');
    made.session.goaway();
    made.feed(frame(1, isEnded, 7, referring));
    expect(made.sent().at(-1)).toBe('RST_STREAM 7 REFUSED_STREAM');
  });
});

test('a tunnel has no length whatever its response says', () => {
  const made = client({}, [8, 1]);
  made.open([':method', 'CONNECT', ':authority', 'a.test:443'], false);
  made.feed(headers(1, [...ok, 'content-length', '1']), data(1, 'abc'));
  expect(made.told()).toEqual(['1 response 200', '1 data abc']);
});

test('a response may be complete before its request, which may then be stopped without an error', () => {
  const made = client();
  made.open(post, false);
  made.feed(headers(1, [':status', '413'], true), reset(1, 0));
  expect(made.told()).toEqual(['1 response 413 end', '1 reset NO_ERROR by peer']);
});

test('SETTINGS between two pieces of a stream change nothing of it', () => {
  const made = server().feed(headers(1, post), data(1, 'a'), settings([4, 9]), data(1, 'b', true));
  expect(made.told()).toEqual(['1 request POST /', '1 data a', 'settings', '1 data b end']);
});
