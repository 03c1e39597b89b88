import { describe, expect, test } from 'vitest';

import { client, ok, optionsOf, server, SessionCase } from './session-case.ts';
import {
  data,
  flags,
  frame,
  get,
  goaway,
  headers,
  ping,
  post,
  priority,
  reset,
  settings,
  windowUpdate,
} from './wire-frames.ts';

describe('SETTINGS', () => {
  test('are acknowledged, then told, the first and each later time', () => {
    const made = new SessionCase(optionsOf('client'));
    made.sent();
    expect([
      made.session.isPeerKnown,
      made.session.peerMaxStreams,
      made.session.peerMaxHeaderListBytes,
    ]).toEqual([false, 100, Number.POSITIVE_INFINITY]);
    made.feed(settings([3, 7], [6, 9], [8, 1]));
    expect([made.sent(), made.told()]).toEqual([['SETTINGS ack'], ['settings']]);
    expect([
      made.session.isPeerKnown,
      made.session.peerMaxStreams,
      made.session.peerMaxHeaderListBytes,
    ]).toEqual([true, 7, 9]);
    expect(made.session.peerAllowsConnectProtocol).toBe(true);
    made.feed(settings());
    expect(made.told()).toEqual(['settings']);
  });

  test('a smaller table of the peer is announced by our next block (RFC 7541 §4.2)', () => {
    const made = server().feed(settings([1, 0], [1, 100]), headers(1, get, true));
    made.sent();
    made.stream().sendHead(ok, true);
    const bytes = made.session.takeOutput() ?? Buffer.alloc(0);
    // Size updates to 0 and to 100, then :status 200.
    expect(bytes.subarray(9).toString('hex')).toBe('203f4588');
  });

  test('move the windows of open streams and of later ones', () => {
    const made = client({}, [4, 10]);
    made.open(post, false);
    made.feed(settings([4, 4]));
    made.open(post, false);
    made.sent();
    for (const stream of made.streams) stream.sendData(Buffer.from('abcdefgh'));
    expect(made.sent()).toEqual(['DATA 1 abcd', 'DATA 3 abcd']);
  });

  test('that may not be leave nothing acknowledged', () => {
    const made = server().feed(settings([5, 1]));
    expect(made.sent()).toEqual(['GOAWAY 0 PROTOCOL_ERROR']);
  });
});

describe('RST_STREAM', () => {
  test.each([
    ['CANCEL', 8, '1 reset CANCEL by peer'],
    [
      'REFUSED_STREAM, which is safe to repeat (RFC 9113 §8.7)',
      7,
      '1 reset REFUSED_STREAM by peer unprocessed',
    ],
    ['a code that nobody knows', 0xdead, '1 reset UNKNOWN_57005 by peer'],
  ])('%s', (_rule, code, told) => {
    const made = client();
    made.open(get);
    made.feed(reset(1, code), reset(1, code));
    expect([made.told(), made.session.openCount, made.session.stats.resetsReceived]).toEqual([[told], 0, 1]);
  });
});

describe('PING', () => {
  test('an answer tells when it came', () => {
    const made = server();
    expect(made.session.lastPongMs).toBe(-1);
    made.session.ping();
    expect(made.sent()).toEqual(['PING \0\0\0\0\0\0\0\u0001']);
    made.session.receive(ping('\0\0\0\0\0\0\0\u0001', flags.ack), 1234);
    expect(made.session.lastPongMs).toBe(1234);
  });
});

describe('GOAWAY', () => {
  test('gives back what was not touched, and the others go on', () => {
    const made = client();
    for (let i = 0; i < 3; i++) made.open(get);
    made.session.openStream(made.recorder());
    made.sent();
    made.feed(goaway(3, 0, 'bye'));
    expect(made.told()).toEqual([
      '1 reset REFUSED_STREAM by peer unprocessed',
      '5 reset REFUSED_STREAM by peer unprocessed',
      'goaway 3 NO_ERROR bye',
    ]);
    expect([made.session.isDraining, made.session.canOpen, made.session.openCount]).toEqual([true, false, 2]);
    made.feed(headers(1, ok, true), headers(3, ok), data(3, 'x', true));
    expect([made.told().at(-1), made.session.openCount, made.session.isOver]).toEqual([
      '3 data x end',
      0,
      false,
    ]);
  });

  test('with an error brings its code to the streams', () => {
    const made = client();
    made.open(get);
    made.feed(goaway(0, 11));
    expect(made.told()).toEqual([
      '1 reset ENHANCE_YOUR_CALM by peer unprocessed',
      'goaway 0 ENHANCE_YOUR_CALM',
    ]);
  });

  test('may come twice, first as a notice', () => {
    const made = client();
    made.open(get);
    made.feed(goaway(0x7fff_ffff, 0), goaway(1, 0));
    expect(made.told()).toEqual(['goaway 2147483647 NO_ERROR', 'goaway 1 NO_ERROR']);
    expect(made.session.openCount).toBe(1);
  });

  test('text is cut at 256 bytes', () => {
    const made = server().feed(goaway(0, 0, 'x'.repeat(9000)));
    expect(made.told()).toEqual([`goaway 0 NO_ERROR ${'x'.repeat(256)}`]);
  });

  test('a listener that resets the others within the call is told of none twice', () => {
    const made = client();
    made.open(get);
    made.open(get);
    made.recorder(0).reset = () => made.stream(1).reset(8);
    made.feed(goaway(0, 0));
    expect(made.told()).toEqual(['goaway 0 NO_ERROR']);
  });

  test('of a client takes none of its requests back', () => {
    const made = server().feed(headers(1, get, true), goaway(0, 0));
    made.stream().sendHead(ok, true);
    expect(made.sent()).toEqual(['HEADERS 1 end :status=200']);
  });
});

test('WINDOW_UPDATE up to 2^31 - 1 is taken', () => {
  const made = server().feed(headers(1, post), windowUpdate(1, 0x7fff_0000), windowUpdate(0, 0x7fff_0000));
  expect([made.sent(), made.failure]).toEqual([[], undefined]);
});

test('frames that do nothing do nothing', () => {
  const made = server().feed(
    priority(1, 0),
    priority(2, 1),
    frame(16, 0, 0, 'u=1'),
    frame(12, 0, 0, 'origin'),
  );
  expect([made.sent(), made.told()]).toEqual([[], []]);
});
