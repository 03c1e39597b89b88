import { describe, expect, test } from 'vitest';

import { h2Code, H2SessionError } from '../../src/h2/error-codes.ts';
import { client, ok, optionsOf, server, SessionCase } from './session-case.ts';
import { get, headers, ping, post, preface, settings, settingsAck, windowUpdate } from './wire-frames.ts';

describe('the first bytes', () => {
  test('of a client: preface, SETTINGS, and a larger window for the connection', () => {
    const made = new SessionCase(optionsOf('client'));
    const bytes = made.session.takeOutput() ?? Buffer.alloc(0);
    expect(bytes.subarray(0, 24).equals(preface)).toBe(true);
    expect(bytes.length).toBe(24 + 9 + 18 + 13);
  });

  test('of a server that keeps the default window: SETTINGS only', () => {
    const made = new SessionCase(optionsOf('server', { connectionWindowBytes: 65_535 }));
    expect(made.sent()).toEqual(['SETTINGS 3=128 4=262144 6=65536']);
  });
});

describe('opening streams', () => {
  test('is possible at once, before the peer’s SETTINGS', () => {
    const made = new SessionCase(optionsOf('client'));
    made.open(get);
    expect(made.sent().at(-1)).toBe('HEADERS 1 end :method=GET :scheme=https :authority=a.test :path=/');
  });

  test('ends at the limit of the peer, and is possible again when one is over', () => {
    const made = client({}, [3, 2]);
    made.open(get);
    made.open(get);
    expect([made.session.canOpen, made.session.openCount, made.session.peerMaxStreams]).toEqual([
      false,
      2,
      2,
    ]);
    expect(() => made.open(get)).toThrow(expect.objectContaining({ reason: 'cannot_open_stream' }));
    made.feed(headers(1, ok, true));
    made.open(get);
    expect(made.stream(2).id).toBe(5);
  });

  test('is not for servers', () => {
    expect(server().session.canOpen).toBe(false);
    expect(() => server().open(get)).toThrow(H2SessionError);
  });
});

describe('deadlines', () => {
  test('SETTINGS have to be acknowledged in time', () => {
    const made = new SessionCase(optionsOf('client', { settingsTimeoutMs: 500 }));
    made.sent();
    expect([made.session.tick(0), made.session.tick(499)]).toEqual([500, 500]);
    expect(made.session.tick(500)).toBe(Number.POSITIVE_INFINITY);
    expect([made.failure?.reason, made.sent()]).toEqual(['settings_timeout', ['GOAWAY 0 SETTINGS_TIMEOUT']]);
    expect(made.session.tick(9000)).toBe(Number.POSITIVE_INFINITY);
  });

  test('an acknowledgement in time leaves none', () => {
    const made = new SessionCase(optionsOf('client', { settingsTimeoutMs: 500 }));
    made.feed(settings(), settingsAck);
    expect(made.session.tick(9000)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('a graceful end', () => {
  test('in two steps: a notice, then the last stream; what comes later is refused', () => {
    const made = server();
    made.session.goawayNotice();
    made.feed(headers(1, get, true));
    expect([made.sent(), made.session.isDraining]).toEqual([['GOAWAY 2147483647 NO_ERROR'], true]);
    made.session.goaway();
    made.session.goawayNotice();
    made.feed(headers(3, get, true));
    expect(made.sent()).toEqual(['GOAWAY 1 NO_ERROR', 'RST_STREAM 3 REFUSED_STREAM']);
    made.stream().sendHead(ok, true);
    expect([made.sent(), made.session.openCount]).toEqual([['HEADERS 1 end :status=200'], 0]);
  });

  test('of a client opens nothing more', () => {
    const made = client();
    made.open(get);
    made.session.goaway(h2Code.noError, 'done');
    expect([made.session.canOpen, made.session.openCount, made.session.isOver]).toEqual([false, 1, false]);
  });

  test('after the end says nothing', () => {
    const made = client();
    made.session.end();
    made.session.goawayNotice();
    made.session.goaway();
    made.session.ping();
    expect(made.sent()).toEqual([]);
  });
});

test('readiness is told once per turn', () => {
  const made = server();
  const before = made.readyCount;
  made.feed(ping(), ping());
  expect(made.readyCount).toBe(before + 1);
  made.sent();
  expect(made.session.takeOutput()).toBeUndefined();
  made.feed(ping());
  expect(made.readyCount).toBe(before + 2);
});

test('output given back is used again, output that is not is left alone', () => {
  const made = server().feed(headers(1, post));
  made.feed(ping('aaaaaaaa'));
  const kept = made.session.takeOutput();
  made.feed(ping('bbbbbbbb'));
  const again = made.session.takeOutput();
  made.session.releaseOutput();
  made.feed(ping('cccccccc'));
  expect(kept?.toString('latin1', 9)).toBe('aaaaaaaa');
  expect(again?.buffer).toBe(made.session.takeOutput()?.buffer);
});

test('a session at rest holds little', () => {
  const made = server().feed(windowUpdate(0, 1_000_000));
  for (let id = 1; id < 99; id += 2) made.feed(headers(id, get, true));
  for (const stream of made.streams) {
    stream.sendHead(ok, false);
    stream.sendData(Buffer.alloc(16_000));
    stream.sendEnd();
  }
  while (made.sent().length > 0);
  expect(made.session.openCount).toBe(0);
  for (let i = 0; i < 10; i++) {
    made.feed(ping());
    made.sent();
  }
  made.feed(ping());
  expect(made.session.takeOutput()?.buffer.byteLength).toBe(4096);
});
